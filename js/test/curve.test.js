import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { corners, countsAt, splitRadii, stepCurves } from "../src/lib/curve.js";

/** @param {unknown} value */
const number = (value) => (typeof value === "string" ? Number(value.replace("inf", "Infinity").replace("nan", "NaN")) : value);
const cases = JSON.parse(readFileSync(new URL("../../tests/decomon_widgets/curve_cases.json", import.meta.url), "utf8"));

for (const one of cases) {
  const radii = {
    certified: one.certified.map(number),
    falsified: one.falsified.map(number),
    misclassified: one.misclassified,
  };
  test(`curves: ${one.name}`, () => {
    for (const [epsilon, certified, attacked] of one.at) {
      assert.deepEqual(countsAt(radii, epsilon), { certified, attacked, total: radii.certified.length }, `at ${epsilon}`);
    }
    const { certified, attacked } = stepCurves(radii, one.end);
    assert.deepEqual(certified, one.certified_steps);
    assert.deepEqual(attacked, one.attacked_steps);
  });

  test(`the pieces of the curves are what is true between the radii: ${one.name}`, () => {
    const curves = stepCurves(radii, one.end);
    for (const kind of /** @type {const} */ (["certified", "attacked"])) {
      const { at, counts } = curves[kind];
      [0, ...at].forEach((left, k) => {
        const right = at[k] ?? one.end;
        assert.equal(countsAt(radii, left + 0.5 * (right - left))[kind], right > left ? counts[k] : countsAt(radii, left)[kind]);
      });
    }
  });
}

test("corners go from the left end to the right end and never up", () => {
  const points = corners({ at: [0.1, 0.4], counts: [5, 4, 1] }, 1);
  assert.deepEqual(points, [[0, 5], [0.1, 5], [0.1, 4], [0.4, 4], [0.4, 1], [1, 1]]);
  assert.deepEqual(corners({ at: [], counts: [3] }, 2), [[0, 3], [2, 3]]);
});

test("series are split, also from typed arrays, and incomplete ones are empty", () => {
  const [first, second] = splitRadii(2, Float64Array.of(1, 2, 3, 4), Float64Array.of(5, 6, 7, 8), Uint8Array.of(0, 1, 0, 0));
  assert.deepEqual(first, { certified: [1, 2], falsified: [5, 6], misclassified: [0, 1] });
  assert.deepEqual(second, { certified: [3, 4], falsified: [7, 8], misclassified: [0, 0] });
  const [full, short] = splitRadii(2, [1, 2, 3, -Infinity], [5, 6, 7, Infinity], Uint8Array.of(0, 1, 0, 2));
  assert.equal(full?.certified.length, 2);
  assert.deepEqual(short, { certified: [3], falsified: [7], misclassified: [0] }, "a series may have fewer samples");
  assert.deepEqual(splitRadii(1, [], [1, 2], [0, 0]), [{ certified: [], falsified: [], misclassified: [] }]);
  assert.deepEqual(splitRadii(0, [1], [2], [0]), []);
});
