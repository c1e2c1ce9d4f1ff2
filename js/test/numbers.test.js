import assert from "node:assert/strict";
import { test } from "node:test";
import { formatNumber, formatSeconds, moveByKey, parseNumber, readEntry, snap } from "../src/lib/numbers.js";

const fixed = (/** @type {number} */ value) => formatNumber(value, ".4f");

test("decimals and fractions are read, anything else is not", () => {
  assert.equal(parseNumber("0.03"), 0.03);
  assert.equal(parseNumber(" 8/255 "), 8 / 255);
  assert.equal(parseNumber("8 / 255"), 8 / 255);
  assert.equal(parseNumber("3e-2"), 0.03);
  assert.equal(parseNumber(".5"), 0.5);
  assert.equal(parseNumber("-1."), -1);
  for (const garbage of ["", " ", "abc", "1/0", "0/0", "1//2", "1/2/3", "0,03", "0x10", "NaN", "Infinity", "1e999", "8/"]) {
    assert.equal(parseNumber(garbage), null, garbage);
  }
});

test("an entry out of range or unreadable gives an error that names what was typed", () => {
  assert.deepEqual(readEntry("8/255", 0, 0.1, fixed), { value: 8 / 255 });
  for (const text of ["0.2", "-0.1", "1/0", "x"]) {
    const result = readEntry(text, 0, 0.1, fixed);
    assert.ok("error" in result && result.error.includes(text));
  }
  assert.ok("error" in readEntry("  ", 0, 0.1, fixed));
});

test("both ends are reachable and every position is inside", () => {
  const max = 25 / 255;
  assert.equal(snap(1, 0, max, 1e-4), max);
  assert.equal(snap(-1, 0, max, 1e-4), 0);
  assert.equal(snap(max - 1e-9, 0, max, 1e-4), max);
  for (let value = 0; value <= max; value += 1.7e-5) {
    const at = snap(value, 0, max, 1e-4);
    assert.ok(at >= 0 && at <= max);
    assert.ok(Math.abs(at - value) <= 1e-4 / 2 + 1e-12);
    assert.equal(snap(at, 0, max, 1e-4), at, "snapping twice changes nothing");
  }
  assert.equal(snap(0.0300004, 0, max, 1e-4), 0.03);
});

test("keys move by a step, by a tenth of the range, and to the ends", () => {
  const range = { min: 0, max: 25 / 255, step: 1e-4 };
  assert.equal(moveByKey("ArrowRight", 0.03, range), 0.0301);
  assert.equal(moveByKey("ArrowDown", 0.03, range), 0.0299);
  assert.equal(moveByKey("Home", 0.03, range), 0);
  assert.equal(moveByKey("End", 0.03, range), 25 / 255);
  assert.equal(moveByKey("ArrowRight", 25 / 255, range), 25 / 255);
  assert.equal(moveByKey("x", 0.03, range), null);
  const page = moveByKey("PageUp", 0.03, range);
  assert.ok(page !== null && page > 0.039 && page < 0.041);
  assert.ok(/** @type {number} */ (moveByKey("ArrowLeft", 25 / 255, range)) < 25 / 255);
});

test("formats agree with Python's", () => {
  const cases = [
    [0.03, ".4f", "0.0300"],
    [0.03, ".1%", "3.0%"],
    [0.03, ".2e", "3.00e-02"],
    [0, ".4g", "0"],
    [0.00001234, ".3g", "1.23e-05"],
    [123456, ".3g", "1.23e+05"],
    [-1.5, ".4g", "-1.5"],
    [99.99, ".3g", "100"],
    [1000, ".4g", "1000"],
  ];
  for (const [value, spec, text] of cases) {
    assert.equal(formatNumber(Number(value), String(spec)), text);
  }
});

test("durations have a unit that fits", () => {
  assert.equal(formatSeconds(0.0002), "1 ms");
  assert.equal(formatSeconds(0.25), "250 ms");
  assert.equal(formatSeconds(0.9999), "1.0 s");
  assert.equal(formatSeconds(3.44), "3.4 s");
  assert.equal(formatSeconds(61.2), "61 s");
});
