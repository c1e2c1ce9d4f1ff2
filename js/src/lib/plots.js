/**
 * The line of one channel of a signal as an SVG path, from 0 to 1 in x and, upside down, in y. Of long
 * signals each piece keeps its smallest and its largest value, so no peak is lost.
 *
 * @param {ArrayLike<number>} values all signals, one after the other; the channels of a point are neighbours
 * @param {number} start where the signal begins in `values`
 * @param {{ n: number, channels: number, channel: number }} signal
 * @param {readonly [number, number]} range the values at y = 1 and at y = 0
 * @param {number} [pieces] largest number of pieces
 * @returns {string}
 */
export function linePath(values, start, { n, channels, channel }, [low, high], pieces = 160) {
  /** @param {number} k */
  const at = (k) => scaled(values[start + k * channels + channel] ?? NaN, low, high);
  /** @param {number} k */
  const point = (k) => `${round(n > 1 ? k / (n - 1) : 0.5)} ${round(1 - at(k))}`;
  const kept = [];
  const each = Math.max(1, n / pieces);
  for (let piece = 0; piece < n / each; piece += 1) {
    const end = Math.min(n, Math.round((piece + 1) * each));
    let smallest = Math.round(piece * each);
    let largest = smallest;
    for (let k = smallest + 1; k < end; k += 1) {
      if (at(k) < at(smallest)) smallest = k;
      if (at(k) > at(largest)) largest = k;
    }
    kept.push(Math.min(smallest, largest));
    if (smallest !== largest) kept.push(Math.max(smallest, largest));
  }
  return kept.length ? `M${kept.map(point).join("L")}` : "";
}

/**
 * Where a value is between the ends of its scale.
 *
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @returns {number} from 0 to 1; in the middle of a scale without a length
 */
export function scaled(value, low, high) {
  if (!(high > low) || Number.isNaN(value)) return 0.5;
  return Math.min(1, Math.max(0, (value - low) / (high - low)));
}

/**
 * A bar on a scale: from zero, or from the end that is nearest to zero.
 *
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @returns {{ from: number, to: number }} from 0 to 1, `from <= to`
 */
export function barSpan(value, low, high) {
  const base = scaled(Math.min(high, Math.max(low, 0)), low, high);
  const end = scaled(value, low, high);
  return { from: Math.min(base, end), to: Math.max(base, end) };
}

/** @param {number} value */
const round = (value) => Math.round(value * 1e4) / 1e4;
