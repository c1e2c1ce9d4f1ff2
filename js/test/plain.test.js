import assert from "node:assert/strict";
import { test } from "node:test";
import { niceStep, niceTicks } from "../src/lib/axis.js";
import { readFloat64, readInt32, readUint8 } from "../src/lib/binary.js";
import { toRgba } from "../src/lib/images.js";
import { moveSelection } from "../src/lib/selection.js";

test("ticks are inside, increasing, evenly spaced, and zero is exact", () => {
  for (const [low, high] of [[-3.2, 7.9], [0, 1e-6], [-1e5, 1e5], [0.11, 0.12], [-8, -2]]) {
    const ticks = niceTicks(low ?? 0, high ?? 0, 6);
    assert.ok(ticks.length >= 2 && ticks.length <= 8, `${low} ${high}: ${ticks}`);
    ticks.forEach((tick, k) => {
      assert.ok(tick >= (low ?? 0) - 1e-12 && tick <= (high ?? 0) + 1e-12);
      if (k > 0) assert.ok(tick > /** @type {number} */ (ticks[k - 1]));
    });
    if ((low ?? 0) < 0 && (high ?? 0) > 0) assert.ok(ticks.includes(0));
  }
  assert.deepEqual(niceTicks(1, 1, 5), []);
  assert.deepEqual(niceTicks(0, NaN, 5), []);
  assert.equal(niceStep(0.03), 0.05);
  assert.equal(niceStep(9), 10);
});

test("binary traits are read at any byte offset", () => {
  const bytes = new Uint8Array(8 * 3 + 5);
  const values = new Float64Array([1.5, NaN, -Infinity]);
  bytes.set(new Uint8Array(values.buffer), 5);
  const read = readFloat64(new DataView(bytes.buffer, 5, 24));
  assert.equal(read[0], 1.5);
  assert.ok(Number.isNaN(read[1]));
  assert.equal(read[2], -Infinity);
  assert.equal(readInt32(new DataView(new Int32Array([7, -1]).buffer))[1], -1);
  assert.equal(readUint8(null).length, 0);
});

test("grey and colour pixels become opaque RGBA", () => {
  const grey = toRgba(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 1, [2, 2, 1]);
  assert.deepEqual([...(grey ?? [])].slice(0, 8), [5, 5, 5, 255, 6, 6, 6, 255]);
  const colour = toRgba(Uint8Array.of(1, 2, 3, 4, 5, 6), 0, [1, 2, 3]);
  assert.deepEqual([...(colour ?? [])], [1, 2, 3, 255, 4, 5, 6, 255]);
  assert.equal(toRgba(Uint8Array.of(1, 2, 3), 0, [2, 2, 1]), null);
});

test("arrow keys stay inside the grid", () => {
  assert.equal(moveSelection("ArrowRight", -1, 10, 5), 0);
  assert.equal(moveSelection("ArrowRight", 9, 10, 5), 9);
  assert.equal(moveSelection("ArrowDown", 3, 10, 5), 8);
  assert.equal(moveSelection("ArrowDown", 8, 10, 5), 8);
  assert.equal(moveSelection("ArrowUp", 8, 10, 5), 3);
  assert.equal(moveSelection("ArrowUp", 2, 10, 5), 2);
  assert.equal(moveSelection("ArrowDown", 4, 7, 5), 4);
  assert.equal(moveSelection("Home", 4, 10, 5), 0);
  assert.equal(moveSelection("End", 4, 10, 5), 9);
  assert.equal(moveSelection("a", 4, 10, 5), null);
  assert.equal(moveSelection("End", 4, 0, 5), null);
});
