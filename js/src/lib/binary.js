/**
 * The bytes of a binary trait, copied so that any element type can be read from them.
 *
 * @param {unknown} value DataView, ArrayBuffer or typed array; anything else is empty
 * @returns {ArrayBuffer}
 */
function bytes(value) {
  if (value instanceof ArrayBuffer) return value.slice(0);
  if (ArrayBuffer.isView(value)) {
    const copy = new Uint8Array(value.byteLength);
    copy.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    return copy.buffer;
  }
  return new ArrayBuffer(0);
}

/** @param {unknown} value */
export const readFloat64 = (value) => new Float64Array(bytes(value));

/** @param {unknown} value */
export const readFloat32 = (value) => new Float32Array(bytes(value));

/** @param {unknown} value */
export const readInt32 = (value) => new Int32Array(bytes(value));

/** @param {unknown} value */
export const readUint8 = (value) => new Uint8Array(bytes(value));
