import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../src/lib/deferred.js";
import { StaticModel } from "../src/lib/static_model.js";

test("many changes are heard once, later, and not while nobody sees", () => {
  const model = new StaticModel({ epsilon: 0 });
  /** @type {(() => void)[]} */
  const later = [];
  const chart = deferred(model, (flush) => later.push(flush));
  const heard = /** @type {number[]} */ ([]);
  const listener = () => heard.push(chart.model.get("epsilon"));
  chart.model.on("change:epsilon", listener);
  for (const epsilon of [1, 2, 3]) model.set("epsilon", epsilon);
  assert.deepEqual(heard, []);
  assert.equal(later.length, 1);
  later.pop()?.();
  assert.deepEqual(heard, [3]);

  chart.show(false);
  model.set("epsilon", 4);
  assert.equal(later.length, 0);
  chart.show(true);
  later.pop()?.();
  assert.deepEqual(heard, [3, 4]);

  // Hidden between the change and its turn: it waits, and is not lost.
  model.set("epsilon", 5);
  chart.show(false);
  later.pop()?.();
  assert.deepEqual(heard, [3, 4]);
  chart.show(true);
  later.pop()?.();
  assert.deepEqual(heard, [3, 4, 5]);

  model.set("epsilon", 6);
  chart.model.off("change:epsilon", listener);
  later.pop()?.();
  model.set("epsilon", 7);
  assert.deepEqual([heard, later.length], [[3, 4, 5], 0]);
});
