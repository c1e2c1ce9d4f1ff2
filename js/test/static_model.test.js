import assert from "node:assert/strict";
import { test } from "node:test";
import { readFloat64 } from "../src/lib/binary.js";
import { StaticModel, overlay, readState } from "../src/lib/static_model.js";

test("listeners hear of changes, of nothing else, and not after they left", () => {
  const model = new StaticModel({ epsilon: 0.1, shown: ["a"] });
  let heard = 0;
  const listener = () => {
    heard += 1;
  };
  model.on("change:epsilon", listener);
  model.on("change:shown", listener);
  model.set("epsilon", 0.1);
  model.set("shown", ["a"]);
  assert.equal(heard, 0);
  model.set("epsilon", 0.2);
  model.set("shown", ["a", "b"]);
  assert.equal(heard, 2);
  assert.equal(model.get("epsilon"), 0.2);
  model.off("change:epsilon", listener);
  model.set("epsilon", 0.3);
  assert.equal(heard, 2);
  model.save_changes();
  model.send();
});

test("the caller's state is not changed", () => {
  const state = { epsilon: 0.1 };
  new StaticModel(state).set("epsilon", 1);
  assert.equal(state.epsilon, 0.1);
});

test("a stored state has its arrays and its numbers back", () => {
  const bytes = Buffer.from(new Float64Array([1.5, NaN, -Infinity]).buffer).toString("base64");
  const state = readState(
    JSON.stringify({ upper: { $binary: bytes }, a: { $number: "NaN" }, b: [{ $number: "-Infinity" }], text: "</script>", none: null }),
  );
  assert.deepEqual([...readFloat64(state.upper)], [1.5, NaN, -Infinity]);
  assert.ok(Number.isNaN(state.a));
  assert.deepEqual(state.b, [-Infinity]);
  assert.equal(state.text, "</script>");
  assert.equal(state.none, null);
});

test("names of an overlay stay in it, all others are those of the model", () => {
  const model = new StaticModel({ epsilon: 0.1 });
  const view = overlay(model, { _lost: false });
  let heard = "";
  const lost = () => (heard += "lost ");
  const moved = () => (heard += "moved ");
  view.on("change:_lost", lost);
  view.on("change:epsilon", moved);
  view.set("_lost", true);
  view.set("epsilon", 0.2);
  assert.equal(heard, "lost moved ");
  assert.equal(model.get("_lost"), undefined);
  assert.equal(model.get("epsilon"), 0.2);
  view.off("change:_lost", lost);
  view.off("change:epsilon", moved);
  view.set("_lost", false);
  model.set("epsilon", 0.3);
  assert.equal(heard, "lost moved ");
});
