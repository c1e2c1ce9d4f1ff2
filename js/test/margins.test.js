import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { axisRange, classMargins, orderClasses } from "../src/lib/margins.js";

/** @param {unknown} value */
const number = (value) => (typeof value === "string" ? Number(value.replace("inf", "Infinity").replace("nan", "NaN")) : value);
const cases = JSON.parse(readFileSync(new URL("../../tests/decomon_widgets/margin_cases.json", import.meta.url), "utf8"));

for (const one of cases) {
  test(`margins: ${one.name}`, () => {
    const margins = {
      methods: one.lower.length,
      classes: one.lower[0].length,
      label: one.label,
      lower: one.lower.flat().map(number),
      upper: one.upper.flat().map(number),
    };
    const found = classMargins(margins);
    assert.deepEqual(found.map((c) => c.standing), one.standings);
    assert.deepEqual(found.map((c) => [c.lower, c.upper]), one.best.map((/** @type {unknown[]} */ pair) => pair.map(number)));
    assert.deepEqual(orderClasses(found, "upper").map((c) => c.index), one.by_upper);
    assert.deepEqual(orderClasses(found, "index").map((c) => c.index), found.map((_, k) => k));
    axisRange(margins).forEach((end, k) => assert.ok(Math.abs(end - one.range[k]) < 1e-9, `${axisRange(margins)}`));
  });
}

test("the axis is finite whatever the bounds are", () => {
  for (const wide of [1e308, Infinity, NaN, 1e-300]) {
    const [low, high] = axisRange({ methods: 1, classes: 2, label: 0, lower: [0, -wide], upper: [0, wide] });
    assert.ok(Number.isFinite(high - low) && low < 0 && high > 0, `${wide}: ${low} ${high}`);
  }
});
