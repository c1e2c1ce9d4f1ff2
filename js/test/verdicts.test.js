import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { shownVerdict } from "../src/lib/knowledge.js";

/** The same cases are run against the Python rule. */
const cases = JSON.parse(
  readFileSync(new URL("../../tests/decomon_widgets/knowledge_cases.json", import.meta.url), "utf8"),
);

/** @param {number | null} value @param {number} missing */
const number = (value, missing) => (value === null ? missing : value);

test("a verdict is reused only where the nested domains allow it", () => {
  assert.ok(cases.length > 0);
  for (const item of cases) {
    const knowledge = {
      certified: Float64Array.of(number(item.certified, -Infinity)),
      falsified: Float64Array.of(number(item.falsified, Infinity)),
      tried: Float64Array.of(number(item.tried, NaN)),
      misclassified: Uint8Array.of(item.misclassified ? 1 : 0),
    };
    assert.equal(shownVerdict(knowledge, 0, item.epsilon), item.verdict, JSON.stringify(item));
  }
});
