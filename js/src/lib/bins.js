/**
 * Which of the two bounds of the largest margin. An upper bound proves below zero, a lower one above
 * it, and zero proves nothing: so intervals of upper bounds are `[low, high)`, of lower bounds
 * `(low, high]`.
 *
 * @typedef {"upper" | "lower"} Bound
 */

/** Larger numbers are left out, like those that are not finite: bins around them would overflow. */
export const LARGEST = 1e300;

/** @param {number | undefined} value @returns {value is number} */
export const drawable = (value) => value !== undefined && Math.abs(value) <= LARGEST;

/**
 * Edges of equal bins that hold all values; zero is one of the inner edges.
 * `decomon_widgets.bins` holds the same rule for Python, to the last bit.
 *
 * @param {Iterable<number>} values those that cannot be drawn are left out
 * @param {number} bins number of bins aimed at
 * @returns {Float64Array} increasing, at least three; empty if there is nothing to draw
 */
export function binEdges(values, bins) {
  let [low, high, none] = [0, 0, true];
  for (const value of values) {
    if (!drawable(value)) continue;
    none = false;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (none) return new Float64Array(0);
  const rough = high / bins - low / bins;
  // Numbers this small would make bins whose width is no number any more.
  if (rough < 1 / LARGEST) return Float64Array.of(-1, 0, 1);
  const step = binWidth(rough);
  const first = Math.min(Math.floor(low / step), -1);
  const last = Math.max(Math.ceil(high / step), 1);
  return Float64Array.from({ length: last - first + 1 }, (_, k) => step * (first + k));
}

/**
 * The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below `rough`. Through decimals,
 * which JavaScript and Python read and write alike; their powers of ten differ.
 *
 * @param {number} rough
 */
function binWidth(rough) {
  const exponent = Number(rough.toExponential(15).split("e")[1]);
  for (const factor of [1, 2, 2.5, 5]) {
    const width = Number(`${factor}e${exponent}`);
    // A range that is a round number up to rounding gets the round bins.
    if (width >= rough * (1 - 1e-9)) return width;
  }
  return Number(`1e${exponent + 1}`);
}

/**
 * Whether a bound lies in an interval, which is half-open on the side that depends on the bound.
 *
 * @param {number | undefined} value
 * @param {number} low
 * @param {number} high
 * @param {Bound} bound
 */
export function inInterval(value, low, high, bound) {
  if (!drawable(value)) return false;
  return bound === "upper" ? low <= value && value < high : low < value && value <= high;
}

/**
 * The bin of a bound; a value on the outermost edge belongs to the outermost bin.
 *
 * @param {number | undefined} value
 * @param {Float64Array} edges
 * @param {Bound} bound
 * @returns {number} -1 for none
 */
export function binOf(value, edges, bound) {
  const last = edges.length - 1;
  if (last < 1 || !drawable(value)) return -1;
  let [left, right] = [0, last];
  while (right - left > 1) {
    const middle = (left + right) >> 1;
    const edge = /** @type {number} */ (edges[middle]);
    if (bound === "upper" ? value >= edge : value > edge) left = middle;
    else right = middle;
  }
  return left;
}

/**
 * How many bounds each bin holds, by verdict.
 *
 * @param {Float64Array} values
 * @param {readonly string[]} verdicts of the same samples
 * @param {Float64Array} edges
 * @param {Bound} bound
 * @param {(position: number) => boolean} [wanted] which samples count; all of them if it is missing
 * @returns {Record<string, number>[]} one entry per bin, with the verdicts that occur in it
 */
export function countBins(values, verdicts, edges, bound, wanted = () => true) {
  /** @type {Record<string, number>[]} */
  const counts = Array.from({ length: Math.max(0, edges.length - 1) }, () => ({}));
  values.forEach((value, position) => {
    const bin = counts[binOf(value, edges, bound)];
    const verdict = verdicts[position];
    if (bin && verdict !== undefined && wanted(position)) bin[verdict] = (bin[verdict] ?? 0) + 1;
  });
  return counts;
}

/**
 * The samples whose bound lies in an interval.
 *
 * @param {Float64Array} values
 * @param {number} low
 * @param {number} high
 * @param {Bound} bound
 * @returns {number[]} positions, increasing
 */
export function brushed(values, low, high, bound) {
  return [...values.keys()].filter((position) => inInterval(values[position], low, high, bound));
}

/**
 * How many bounds are left out because they are no finite numbers; those of pending samples are still
 * to come.
 *
 * @param {Float64Array} values
 * @param {readonly string[]} verdicts
 */
export function countLeftOut(values, verdicts) {
  return values.filter((v, k) => !drawable(v) && verdicts[k] !== "pending").length;
}
