import assert from "node:assert/strict";
import { test } from "node:test";
import { watchConnection } from "../src/lib/connection.js";

/** @param {unknown} layout */
function stage(layout) {
  /** @type {Map<string, () => void>} */
  const listeners = new Map();
  const mark = { set: false };
  const model = /** @type {any} */ ({
    get: (/** @type {string} */ name) => (name === "layout" ? layout : undefined),
    on: (/** @type {string} */ event, /** @type {() => void} */ callback) => listeners.set(event, callback),
    off: (/** @type {string} */ event) => listeners.delete(event),
  });
  const el = /** @type {any} */ ({
    closest: (/** @type {string} */ wanted) => (mark.set && wanted === ".jupyter-widgets-disconnected" ? {} : null),
  });
  const told = /** @type {boolean[]} */ ([]);
  const stop = watchConnection(model, el, (lost) => told.push(lost));
  return { listeners, mark, told, stop };
}

test("a kernel that is gone is noticed after the event, and one that comes back", async () => {
  const layout = { comm_live: true };
  const { listeners, told, stop } = stage(layout);
  listeners.get("comm_live_update")?.();
  layout.comm_live = false;
  await null;
  layout.comm_live = true;
  listeners.get("comm_live_update")?.();
  await null;
  listeners.get("comm:close")?.();
  assert.deepEqual(told, [false, true, false, true]);
  stop();
  assert.equal(listeners.size, 0);
});

test("a marked element says the same", async () => {
  const { listeners, mark, told } = stage("IPY_MODEL_1");
  mark.set = true;
  listeners.get("comm_live_update")?.();
  await null;
  assert.deepEqual(told, [false, true]);
});

test("a notebook that is opened without its kernel is noticed at once", () => {
  assert.deepEqual(stage({ comm_live: false }).told, [true]);
  assert.deepEqual(stage(undefined).told, [false]);
});
