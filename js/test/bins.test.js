import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { binEdges, binOf, brushed, countBins, countLeftOut, inInterval } from "../src/lib/bins.js";

/** The same cases are run against the Python rule. */
const cases = JSON.parse(
  readFileSync(new URL("../../tests/decomon_widgets/bins_cases.json", import.meta.url), "utf8"),
);
const bounds = /** @type {const} */ (["upper", "lower"]);

test("edges and counts are those of Python, to the last bit", () => {
  assert.ok(cases.length > 20);
  for (const item of cases) {
    const values = Float64Array.from(item.values, Number);
    const edges = binEdges(values, item.bins);
    assert.deepEqual([...edges], item.edges, JSON.stringify(item.values));
    assert.equal(countLeftOut(values, item.verdicts), item.left_out);
    for (const bound of bounds) {
      const counts = countBins(values, item.verdicts, edges, bound);
      for (const name of new Set([...item.verdicts, "robust"])) {
        const expected = item[bound][name] ?? counts.map(() => 0);
        assert.deepEqual(counts.map((bin) => bin[name] ?? 0), expected, `${bound} ${name} ${item.values}`);
      }
      for (const { low, high, ...positions } of item.brushed) {
        assert.deepEqual(brushed(values, Number(low), Number(high), bound), positions[bound]);
      }
    }
  }
});

test("an interval between two edges selects the samples of the bins between them", () => {
  const values = Float64Array.of(-2, -1, -0.5, 0, 0.5, 1, 2, NaN, Infinity);
  const edges = binEdges(values, 4);
  for (const bound of bounds) {
    for (let first = 0; first < edges.length - 1; first += 1) {
      for (let last = first; last < edges.length - 1; last += 1) {
        const low = first === 0 ? -Infinity : /** @type {number} */ (edges[first]);
        const high = last === edges.length - 2 ? Infinity : /** @type {number} */ (edges[last + 1]);
        const expected = [...values.keys()].filter((k) => {
          const bin = binOf(values[k], edges, bound);
          return bin >= first && bin <= last;
        });
        assert.deepEqual(brushed(values, low, high, bound), expected);
      }
    }
  }
});

test("zero proves nothing", () => {
  assert.equal(inInterval(0, -Infinity, 0, "upper"), false);
  assert.equal(inInterval(0, 0, Infinity, "lower"), false);
  assert.equal(inInterval(0, 0, Infinity, "upper"), true);
  assert.equal(inInterval(0, -Infinity, 0, "lower"), true);
});

test("a part of the samples can be counted", () => {
  const values = Float64Array.of(1, 1, 1, 1);
  const edges = binEdges(values, 2);
  const counts = countBins(values, ["robust", "robust", "unknown", "unknown"], edges, "upper", (k) => k > 0);
  assert.deepEqual(counts.filter((bin) => Object.keys(bin).length > 0), [{ robust: 1, unknown: 2 }]);
});
