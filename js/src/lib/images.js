/**
 * Pixels of one image as RGBA.
 *
 * @param {Uint8Array} pixels all images, one after the other
 * @param {number} image which one
 * @param {readonly [number, number, number]} shape height, width, channels (1 or 3)
 * @returns {Uint8ClampedArray<ArrayBuffer> | null} null if the pixels of that image are missing
 */
export function toRgba(pixels, image, [height, width, channels]) {
  const area = height * width;
  const start = image * area * channels;
  if (area === 0 || start + area * channels > pixels.length) return null;
  const rgba = new Uint8ClampedArray(4 * area);
  for (let k = 0; k < area; k += 1) {
    const from = start + k * channels;
    for (let c = 0; c < 3; c += 1) {
      rgba[4 * k + c] = /** @type {number} */ (pixels[from + (channels === 3 ? c : 0)]);
    }
    rgba[4 * k + 3] = 255;
  }
  return rgba;
}
