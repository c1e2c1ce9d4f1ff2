/**
 * What bounds of a margin `f_j - f_label` say about class j.
 *
 * @typedef {"label" | "excluded" | "wins" | "open" | "unbounded"} Standing
 */

/**
 * Bounds of the margins of one sample by several methods.
 *
 * @typedef {object} Margins
 * @property {number} methods how many
 * @property {number} classes how many
 * @property {number} label
 * @property {ArrayLike<number>} lower method after method; NaN where nothing is known
 * @property {ArrayLike<number>} upper
 */

/**
 * @typedef {object} ClassMargin
 * @property {number} index the class
 * @property {Standing} standing
 * @property {number} lower best of all methods, -Infinity for none
 * @property {number} upper best of all methods, Infinity for none
 */

/** How far beyond the tightest intervals the axis reaches before looser ones are cut. */
const REACH = 3;

/** Differences of what is larger could overflow. */
const LARGEST = 1e300;

/** What part of the range the axis shows beyond its ends. */
const ROOM = 0.06;

/**
 * The best interval of each class. All methods are right, so the intersection is.
 * `decomon_widgets.margin_view` holds the same rules for Python.
 *
 * @param {Margins} margins
 * @returns {ClassMargin[]} by class
 */
export function classMargins({ methods, classes, label, lower, upper }) {
  return Array.from({ length: classes }, (_, index) => {
    let [low, high] = [-Infinity, Infinity];
    for (let method = 0; method < methods; method += 1) {
      const at = method * classes + index;
      // A comparison with NaN is false: it never improves a bound.
      if (/** @type {number} */ (lower[at]) > low) low = /** @type {number} */ (lower[at]);
      if (/** @type {number} */ (upper[at]) < high) high = /** @type {number} */ (upper[at]);
    }
    return { index, standing: standing(index === label, low, high), lower: low, upper: high };
  });
}

/**
 * @param {boolean} isLabel
 * @param {number} lower
 * @param {number} upper
 * @returns {Standing}
 */
function standing(isLabel, lower, upper) {
  if (isLabel) return "label";
  if (lower > upper) return "open"; // they contradict one another: nothing is concluded
  if (upper < 0) return "excluded";
  if (lower > 0) return "wins";
  return lower === -Infinity && upper === Infinity ? "unbounded" : "open";
}

/**
 * Classes in the order of display.
 *
 * @param {readonly ClassMargin[]} margins by class
 * @param {string} order "index", or "upper": the label, then the class that comes nearest to it or
 *   beats it by most, and so on
 * @returns {ClassMargin[]}
 */
export function orderClasses(margins, order) {
  const ordered = [...margins];
  if (order !== "upper") return ordered;
  const rank = (/** @type {ClassMargin} */ one) => (one.standing === "label" ? 0 : 1);
  // Two infinite bounds have no difference.
  return ordered.sort(
    (a, b) => rank(a) - rank(b) || (a.upper === b.upper ? a.index - b.index : a.upper < b.upper ? 1 : -1),
  );
}

/**
 * The range of the axis: zero and the best intervals, and the looser ones as far as they are not
 * so much wider that nothing could be told of the best.
 *
 * @param {Margins} margins
 * @returns {[number, number]} low < high, both finite
 */
export function axisRange(margins) {
  const best = classMargins(margins).filter((one) => one.standing !== "label");
  const [low, high] = extent(best.flatMap((one) => [one.lower, one.upper]));
  let [from, to] = extent([...Array.from(margins.lower), ...Array.from(margins.upper)]);
  const reach = REACH * (high - low);
  if (reach > 0 && (from < low - reach || to > high + reach)) {
    // A cut is made close to the best: only if all fits, all is shown.
    from = Math.max(from, low - (high - low) / 2);
    to = Math.min(to, high + (high - low) / 2);
  }
  if (from === to) return [-1, 1];
  const room = ROOM * (to - from);
  return [from - room, to + room];
}

/**
 * @param {number[]} values
 * @returns {[number, number]} of the finite ones and zero
 */
function extent(values) {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, Math.max(value, -LARGEST));
    high = Math.max(high, Math.min(value, LARGEST));
  }
  return [low, high];
}
