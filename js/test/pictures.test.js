import assert from "node:assert/strict";
import { test } from "node:test";
import {
  changePixels,
  changes,
  fittingFactor,
  largest,
  listedClasses,
  numpyText,
  proofText,
  readValues,
  scaleOf,
  shortest,
  toPixels,
} from "../src/lib/counterexample.js";
import { bandArea, heights, lineBand, lineText, moveSpan, moveSpanByKey, readBounds, show, spanStep, stepBand } from "../src/lib/span.js";

/** @type {[number, number]} */
const RANGE = [-2, 2];

test("an end stops at the other end and at the range", () => {
  const step = spanStep(RANGE);
  assert.deepEqual(moveSpan("low", [-1, 1], 5, RANGE), [1 - step, 1]);
  assert.deepEqual(moveSpan("low", [-1, 1], -5, RANGE), [-2, 1]);
  assert.deepEqual(moveSpan("high", [-1, 1], -5, RANGE), [-1, -1 + step]);
  assert.deepEqual(moveSpan("high", [-1, 1], 9, RANGE), [-1, 2]);
  assert.deepEqual(moveSpan("high", [-1, 1], 0.5012, RANGE), [-1, 0.5]);
});

test("a moved interval keeps its width and stays in the range", () => {
  for (const target of [-9, -1.3, 0.07, 0.4, 9]) {
    const [low, high] = moveSpan("both", [-0.3, 0.7], target, RANGE);
    assert.ok(Math.abs(high - low - 1) < 1e-9);
    assert.ok(low >= RANGE[0] && high <= RANGE[1]);
  }
});

test("keys move what they are pressed on", () => {
  assert.deepEqual(moveSpanByKey("ArrowLeft", "low", [-1, 1], RANGE), [-1.01, 1]);
  assert.deepEqual(moveSpanByKey("End", "both", [-1, 1], RANGE), [0, 2]);
  assert.deepEqual(moveSpanByKey("Home", "high", [-1, 1], RANGE), [-1, -0.99]);
  assert.equal(moveSpanByKey("a", "low", [-1, 1], RANGE), null);
  assert.equal(moveSpanByKey("constructor", "low", [-1, 1], RANGE) === null, true);
});

test("bands are made of the numbers or of the lines of each piece", () => {
  const edges = Float64Array.of(0, 1, 3);
  const steps = stepBand(edges, Float64Array.of(0, 1), Float64Array.of(1, 2));
  assert.deepEqual([...steps.upper], [1, 1, 2, 2]);
  assert.equal(bandArea(steps), 3);
  const lines = lineBand(edges, [Float64Array.of(1, 0), Float64Array.of(0, 1)], [Float64Array.of(1, 0), Float64Array.of(1, 2)]);
  assert.deepEqual([...lines.lower], [0, 1, 1, 1]);
  assert.deepEqual([...lines.upper], [1, 2, 2, 2]);
  assert.equal(bandArea(lines), 3);
  /** @type {Record<string, number[]>} */
  const given = { _edges: [0, 1], _lower: [2], _upper: [3] };
  const bounds = readBounds((name) => Float64Array.from(given[name] ?? []));
  assert.equal(bounds.lines, null);
  assert.equal(bounds.first, null);
  assert.deepEqual([...bounds.steps.lower], [2, 2]);
});

test("the picture holds the function, and a band that is not far higher", () => {
  const empty = { edges: new Float64Array(0), lower: new Float64Array(0), upper: new Float64Array(0) };
  const y = Float64Array.of(0, NaN, 1);
  const near = { edges: Float64Array.of(0, 1), lower: Float64Array.of(-1, -1), upper: Float64Array.of(2, 2) };
  const far = { ...near, upper: Float64Array.of(1e6, 2) };
  assert.equal(heights(y, near).cut, false);
  assert.ok(heights(y, near).low < -1 && heights(y, near).high > 2);
  assert.equal(heights(y, far).cut, true);
  assert.ok(heights(y, far).high < 10);
  for (const values of [new Float64Array(0), Float64Array.of(3, 3), Float64Array.of(NaN)]) {
    const { low, high } = heights(values, empty);
    assert.ok(low < high && Number.isFinite(high - low));
  }
});

test("numbers and lines for people", () => {
  assert.equal(show(-0.5), "−0.5");
  assert.equal(show(-1e-15), "0");
  assert.equal(lineText(1, 0, "z"), "z");
  assert.equal(lineText(-1, 0.5, "z"), "−z + 0.5");
  assert.equal(lineText(0.66666667, -2 / 3, "z"), "0.6667 z − 0.6667");
  assert.equal(lineText(0, -1, "z"), "−1");
});

test("points are read in single and in double precision", () => {
  const message = new Uint8Array(1 + 24);
  message.set(new Uint8Array(Float64Array.of(0.1, 2, 3).buffer), 1);
  assert.deepEqual([...readValues(new DataView(message.buffer, 1), 3)], [0.1, 2, 3]);
  assert.deepEqual([...readValues(Float32Array.of(1, 2, 3), 3)], [1, 2, 3]);
  assert.equal(readValues(null, 3).length, 0);
  assert.equal(readValues(new ArrayBuffer(0), 3).length, 0);
});

test("changes are parts of half a scale, and the factor that fits keeps them apart", () => {
  const scale = scaleOf(Float64Array.of(0, 2), 3);
  const clean = Float64Array.of(1, 1, 1);
  const moved = Float64Array.of(1.1, 0.9, 1);
  const parts = changes(clean, moved, scale, 1);
  [0.1, -0.1, 0].forEach((part, k) => assert.ok(Math.abs(Number(parts[k]) - part) < 1e-12));
  assert.equal(fittingFactor(parts), 10);
  assert.deepEqual([...changes(clean, moved, scale, 1000)], [1, -1, 0]);
  assert.equal(fittingFactor(Float64Array.of(0)), 1000);
  assert.equal(fittingFactor(Float64Array.of(0.9)), 1);
  const each = scaleOf(Float64Array.of(0, 10, 1, 30), 2);
  assert.deepEqual([each(0), each(1)], [[0, 1], [10, 30]]);
});

test("no change is white in grey pictures and grey in colour pictures; signs differ", () => {
  const pixels = [...changePixels(Float64Array.of(0, 1, -1), 1)];
  assert.deepEqual(pixels.slice(0, 3), [244, 244, 244]);
  assert.notDeepEqual(pixels.slice(3, 6), pixels.slice(6, 9));
  assert.deepEqual([...changePixels(Float64Array.of(0, 1, -1), 3)], [128, 255, 0]);
  assert.deepEqual([...toPixels(Float32Array.of(0, 0.5, 1), 0, 1)], [0, 128, 255]);
});

test("few classes are all listed, of many the label and the predictions are always", () => {
  assert.deepEqual(listedClasses([1, 2, 3], [3, 2, 1], 0, 12), [0, 1, 2]);
  const clean = Array.from({ length: 100 }, (_, k) => -k);
  const other = Array.from({ length: 100 }, (_, k) => k);
  const listed = listedClasses(clean, other, 50, 5);
  assert.deepEqual(listed, [0, 50, 97, 98, 99]);
  assert.equal(largest([1, 3, 3]), 1);
  assert.equal(largest([1, NaN]), -1);
  assert.equal(largest([]), -1);
});

test("the shortest decimal is read back as the same number", () => {
  for (const value of [0.1, 1 / 3, 1e-30, 123456.789, 0, 1, -0.7]) {
    const single = Math.fround(value);
    assert.equal(Math.fround(Number(shortest(single, true))), single);
    assert.ok(shortest(single, true).length <= String(single).length);
    assert.equal(Number(shortest(value, false)), value);
  }
  assert.equal(shortest(Math.fround(0.1), true), "0.1");
});

test("the NumPy code has all numbers, the shape and the right type", () => {
  const clean = Float32Array.from({ length: 784 }, (_, k) => k / 784);
  const text = numpyText({ clean, adversarial: clean, shape: [28, 28], about: "a test" });
  assert.ok(text.includes("dtype=np.float32).reshape(28, 28)"));
  assert.ok(text.split("\n").every((line) => line.length <= 100));
  const numbers = [...(text.split("adversarial")[0] ?? "").matchAll(/(?<=[ \n])[\d.e-]+(?=,)/g)].map((m) => Math.fround(Number(m[0])));
  assert.deepEqual(numbers, [...clean]);
  const double = numpyText({ clean: Float64Array.of(0.1), adversarial: Float64Array.of(0.2), shape: [1], about: "" });
  assert.ok(double.includes("dtype=np.float64).reshape(1,)"));
});

test("the proof names label, prediction, distance and radius", () => {
  const text = proofText({ label: "cat", predicted: "dog", distance: 0.03, epsilon: 0.05 });
  for (const part of ["real Keras model", "cat", "dog", "0.03", "0.05"]) assert.ok(text.includes(part));
});
