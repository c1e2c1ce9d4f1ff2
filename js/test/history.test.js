import assert from "node:assert/strict";
import { test } from "node:test";
import { breakLines } from "../src/lib/export.js";
import { History } from "../src/lib/history.js";

/** A small generator of numbers in [0, 1). @param {number} seed */
function random(seed) {
  let state = seed;
  return () => {
    state = (1664525 * state + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

test("bounds carry over to the smaller and to the larger epsilons, the best of them wins", () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const next = random(seed);
    const n = 1 + Math.floor(4 * next());
    const epsilons = Array.from({ length: Math.floor(7 * next()) }, () => Math.floor(5 * next()) / 10);
    const bound = () => (next() < 0.15 ? NaN : next() < 0.1 ? Infinity : next() - 0.5);
    const upper = Array.from({ length: n * epsilons.length }, bound);
    const lower = Array.from({ length: n * epsilons.length }, () => -bound());
    const history = new History(n, epsilons, upper, lower);
    for (const epsilon of [0, 0.05, 0.1, 0.2, 0.35, 0.4, 0.9]) {
      const found = history.at(epsilon);
      for (let k = 0; k < n; k += 1) {
        const rows = epsilons.map((tried, row) => ({ tried, upper: upper[row * n + k] ?? NaN, lower: lower[row * n + k] ?? NaN }));
        const above = rows.filter((row) => row.tried >= epsilon && !Number.isNaN(row.upper)).map((row) => row.upper);
        const below = rows.filter((row) => row.tried <= epsilon && !Number.isNaN(row.lower)).map((row) => row.lower);
        assert.equal(found.upper[k], above.length ? Math.min(...above) : NaN);
        assert.equal(found.lower[k], below.length ? Math.max(...below) : NaN);
      }
    }
  }
});

test("a proof never reaches beyond the epsilon it was made for", () => {
  const history = new History(1, [0.1], [-2], [-3]);
  assert.equal(history.at(0.1).upper[0], -2);
  assert.equal(history.at(0.05).upper[0], -2);
  assert.ok(Number.isNaN(history.at(0.1000001).upper[0]));
  assert.equal(history.at(0.2).lower[0], -3);
  assert.ok(Number.isNaN(history.at(0.0999999).lower[0]));
});

test("arrays that do not belong together, or nothing, say nothing", () => {
  for (const history of [new History(3, [0.1], [-1, -1], [-2, -2]), new History(3, [], [], []), new History(3, [NaN], [1, 1, 1], [1, 1, 1])]) {
    const { upper, lower } = history.at(0);
    assert.deepEqual([...upper, ...lower], Array(6).fill(NaN));
  }
  assert.equal(new History(0, [], [], []).at(1).upper.length, 0);
});

test("lines are broken between words and lose none", () => {
  const text = "method crown · domain [0, 1] · model 12ab34 · 2026-11-23";
  const lines = breakLines(text, 20);
  assert.equal(lines.join(" "), text);
  assert.ok(lines.every((line) => line.length <= 20));
  assert.deepEqual(breakLines("  ", 20), []);
  assert.deepEqual(breakLines("averyveryverylongword", 5), ["averyveryverylongword"]);
});
