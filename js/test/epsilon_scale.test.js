import assert from "node:assert/strict";
import { test } from "node:test";
import { formatUnit, fractionOf, moveOnScale, nameUnit, readUnit, valueAt } from "../src/lib/epsilon_scale.js";

/** @import { Range } from "../src/lib/epsilon_scale.js" */

/** @type {Range} */
const linear = { min: 0, max: 25 / 255, step: 1e-4, unit: "value", log: false };
/** @type {Range} */
const levels = { ...linear, unit: "255" };
/** @type {Range[]} */
const ranges = [
  linear,
  levels,
  { ...linear, log: true },
  { ...levels, log: true },
  { ...linear, min: 0.001, log: true },
  { ...linear, step: 1, log: true },
  { min: -1, max: 2, step: 0.3, unit: "value", log: false },
];

test("numbers are shown in either unit", () => {
  assert.equal(formatUnit(8 / 255, ".4f", "value"), "0.0314");
  assert.equal(formatUnit(8 / 255, ".4f", "255"), "8.00");
  assert.equal(formatUnit(8 / 255, ".1f", "255"), "8");
  assert.equal(formatUnit(8 / 255, ".3g", "255"), "8");
  assert.equal(formatUnit(8 / 255, ".1%", "value"), "3.1%");
  assert.equal(nameUnit(8 / 255, ".4f", "255"), "8.00/255");
  assert.equal(nameUnit(8 / 255, ".4f", "value"), "0.0314");
});

test("typed entries are exact in either unit", () => {
  const cases = /** @type {const} */ ([
    ["0.03", linear, 0.03],
    ["8/255", linear, 8 / 255],
    ["8", levels, 8 / 255],
    ["7.5", levels, 7.5 / 255],
    ["1/2", levels, 0.5 / 255],
    ["8/255", levels, 8 / 255],
    [" 8 / 255 ", levels, 8 / 255],
    ["25", levels, 25 / 255],
  ]);
  for (const [text, range, value] of cases) {
    assert.deepEqual(readUnit(text, range, ".4f"), { value }, `${text} in ${range.unit}`);
  }
});

test("what cannot be read is answered with what was typed and with the unit", () => {
  for (const range of [linear, levels]) {
    for (const text of ["26", "-1", "1/0", "x", "1/2550x", "8/255/255"]) {
      const result = readUnit(text, range, ".4f");
      assert.ok("error" in result && result.error.includes(text), `${text} ${range.unit}`);
    }
    assert.ok("error" in readUnit(" ", range, ".4f"));
  }
  const result = readUnit("30", levels, ".4f");
  assert.ok("error" in result && result.error.includes("25.00/255"));
});

test("both ends of every scale are reached exactly, and places increase with the value", () => {
  for (const range of ranges) {
    const { min, max } = range;
    assert.equal(fractionOf(min, range), 0);
    assert.equal(fractionOf(max, range), 1);
    assert.equal(valueAt(0, range), min);
    assert.equal(valueAt(1, range), max);
    let last = { place: -1, value: -Infinity };
    for (let k = 0; k <= 500; k += 1) {
      const value = valueAt(k / 500, range);
      const place = fractionOf(min + (k / 500) * (max - min), range);
      assert.ok(value >= min && value <= max && value >= last.value, JSON.stringify(range));
      assert.ok(place > last.place);
      last = { place, value };
    }
  }
});

test("a value stays where it is when its place is read back", () => {
  for (const range of ranges) {
    for (let k = 0; k <= 100; k += 1) {
      const value = valueAt(k / 100, range);
      const again = valueAt(fractionOf(value, range), range);
      assert.ok(Math.abs(again - value) <= 1e-12, `${value} ${again} ${JSON.stringify(range)}`);
    }
  }
});

test("keys walk through every scale from end to end, and back over the same positions", () => {
  for (const range of ranges) {
    for (const [forth, back] of [["ArrowRight", "ArrowLeft"], ["PageUp", "PageDown"]]) {
      const up = [range.min];
      while (up.at(-1) !== range.max) {
        const next = moveOnScale(forth ?? "", up.at(-1) ?? 0, range);
        assert.ok(next !== null && next > (up.at(-1) ?? 0), `${forth} from ${up.at(-1)} ${JSON.stringify(range)}`);
        up.push(next);
        assert.ok(up.length < 3000);
      }
      let down = range.max;
      for (let k = up.length - 2; k >= 0 && forth === "ArrowRight"; k -= 1) {
        down = moveOnScale(back ?? "", down, range) ?? NaN;
        assert.ok(Math.abs(down - (up[k] ?? NaN)) <= 1e-12, `${down} ${up[k]} ${JSON.stringify(range)}`);
      }
    }
    assert.equal(moveOnScale("Home", range.max, range), range.min);
    assert.equal(moveOnScale("End", range.min, range), range.max);
    assert.equal(moveOnScale("a", range.min, range), null);
  }
});

test("on a logarithmic scale a key changes the value by a part of it, and zero is left by one key", () => {
  const range = { ...linear, log: true };
  assert.equal(moveOnScale("ArrowRight", 0, range), 1e-4);
  assert.equal(moveOnScale("ArrowLeft", 1e-4, range), 0);
  for (const value of [2e-4, 1e-3, 1e-2]) {
    const next = moveOnScale("ArrowRight", value, range) ?? NaN;
    assert.ok(next / value > 1.05 && next / value < 1.25);
  }
});

test("in units of 1/255 whole levels are positions", () => {
  let value = 8 / 255;
  for (let k = 0; k < 20; k += 1) value = moveOnScale("ArrowRight", value, levels) ?? NaN;
  assert.equal(value, 9 / 255);
  assert.equal(valueAt(fractionOf(8 / 255 + 1e-5, levels), levels), 8 / 255);
});
