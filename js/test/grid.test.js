import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { viewOrder } from "../src/lib/order.js";
import { barSpan, linePath, scaled } from "../src/lib/plots.js";
import { formatRadius, radiusSentence } from "../src/lib/radii.js";
import { moveSelection, scrollToRow, visibleRows } from "../src/lib/selection.js";

/** The same cases are run against the order of the pictures of Python. */
const { samples, cases } = JSON.parse(
  readFileSync(new URL("../../tests/decomon_widgets/order_cases.json", import.meta.url), "utf8"),
);
const NAMES = ["robust", "non_robust", "unknown", "misclassified", "pending"];

/** @param {(number | null)[]} values @param {number} missing */
const filled = (values, missing) => values.map((value) => value ?? missing);

const KEYS = {
  names: NAMES,
  verdicts: samples.verdicts,
  labels: samples.labels,
  certified: filled(samples.certified, -Infinity),
  falsified: filled(samples.falsified, Infinity),
  upper: filled(samples.upper, NaN),
};

test("filter and order are those of Python", () => {
  assert.ok(cases.length > 0);
  for (const { sort_by, descending, shown, order } of cases) {
    assert.deepEqual(viewOrder(sort_by, descending, shown, KEYS), order, JSON.stringify([sort_by, descending, shown]));
  }
});

test("page keys stay in their column and inside the grid", () => {
  for (let count = 1; count < 40; count += 1) {
    for (const columns of [1, 3, 5]) {
      for (let from = 0; from < count; from += 1) {
        for (const key of ["PageDown", "PageUp"]) {
          const to = Number(moveSelection(key, from, count, columns, 2));
          assert.ok(to >= 0 && to < count);
          assert.equal(to % columns, from % columns);
          assert.ok(Math.abs(to - from) <= 2 * columns);
          if (key === "PageDown") assert.ok(to > from || from + columns >= count);
          else assert.ok(to < from || from < columns);
        }
      }
    }
  }
});

test("every row on the screen is drawn, and few others", () => {
  for (let top = -5; top < 3000; top += 37) {
    const [first, end] = visibleRows(top, 600, 150, 18, 2);
    assert.ok(first >= 0 && end <= 18 && first <= end);
    for (let row = 0; row < 18; row += 1) {
      const onScreen = (row + 1) * 150 > top && row * 150 < top + 600;
      if (onScreen) assert.ok(row >= first && row < end, `${top}: ${row}`);
    }
    assert.ok(end - first <= 4 + 1 + 2 * 2);
  }
  assert.deepEqual(visibleRows(0, 600, 0, 18, 2), [0, 1], "one row to measure");
  assert.deepEqual(visibleRows(0, 600, 150, 0, 2), [0, 0]);
});

test("scrolling to a row moves no further than it must", () => {
  for (let row = 0; row < 10; row += 1) {
    for (const top of [0, 75, 400, 900]) {
      const to = scrollToRow(row, top, 400, 150);
      assert.ok(to <= row * 150 && (row + 1) * 150 <= to + 400);
      if (row * 150 >= top && (row + 1) * 150 <= top + 400) assert.equal(to, top);
    }
  }
  assert.equal(scrollToRow(3, 0, 100, 150), 450, "the start of a row that is too high");
});

test("the line of a signal keeps its ends and every peak", () => {
  const n = 5000;
  const values = Float32Array.from({ length: 2 * n * 2 }, (_, k) => Math.sin(k / 900));
  const start = 2 * n;
  values[start + 2 * 1234 + 1] = 9;
  values[start + 2 * 4321 + 1] = -9;
  const path = linePath(values, start, { n, channels: 2, channel: 1 }, [-10, 10]);
  const points = path.slice(1).split("L").map((point) => point.split(" ").map(Number));
  assert.ok(points.length <= 2 * 160 + 2, String(points.length));
  const heights = points.map(([, y]) => Number(y));
  assert.ok(Math.abs(Math.min(...heights) - 0.05) < 1e-3, "the highest");
  assert.ok(Math.abs(Math.max(...heights) - 0.95) < 1e-3, "the lowest");
  points.forEach(([x], k) => assert.ok(k === 0 || Number(x) >= Number(points[k - 1]?.[0])));
  assert.ok(Number(points[0]?.[0]) < 0.02 && Number(points.at(-1)?.[0]) > 0.98);
  const short = linePath(Float32Array.of(0, 1, 2), 0, { n: 3, channels: 1, channel: 0 }, [0, 2]);
  assert.equal(short, "M0 1L0.5 0.5L1 0");
  assert.equal(linePath(Float32Array.of(4), 0, { n: 1, channels: 1, channel: 0 }, [4, 4]), "M0.5 0.5");
});

test("bars begin at zero, or at the end next to it, and stay on their scale", () => {
  for (const [low, high] of [[-2, 3], [1, 4], [-5, -1], [2, 2]]) {
    for (const value of [-9, -3, -1, 0, 0.5, 2, 9]) {
      const { from, to } = barSpan(value, Number(low), Number(high));
      assert.ok(from >= 0 && to <= 1 && from <= to);
    }
  }
  assert.deepEqual(barSpan(-1, -2, 2), { from: 0.25, to: 0.5 });
  assert.deepEqual(barSpan(3, 1, 5), { from: 0, to: 0.5 });
  assert.deepEqual(barSpan(-3, -5, -1), { from: 0.5, to: 1 });
  assert.equal(scaled(NaN, 0, 1), 0.5);
});

test("radii are rounded to the side on which they stay true", () => {
  for (let k = 1; k < 400; k += 1) {
    const value = (k * Math.PI) / 1000;
    for (const scale of [1e-6, 1e-3, 1, 100]) {
      const [down, up] = [Number(formatRadius(value * scale, "down")), Number(formatRadius(value * scale, "up"))];
      assert.ok(down <= value * scale && up >= value * scale, `${value * scale}: ${down} ${up}`);
      assert.ok(up - down <= 1.001e-3 * value * scale);
    }
  }
  for (const value of [0, 0.03, 0.1, 0.0123, 1]) {
    assert.equal(formatRadius(value, "down"), String(value));
    assert.equal(formatRadius(value, "up"), String(value));
  }
  assert.equal(radiusSentence(-Infinity, Infinity), "");
  assert.match(radiusSentence(0.01, Infinity), /at least 0\.01/);
  assert.match(radiusSentence(-Infinity, 0.02), /below 0\.02/);
  assert.match(radiusSentence(0.01, 0.02), /\[0\.01, 0\.02\)/);
});
