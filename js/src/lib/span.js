import { niceStep } from "./axis.js";
import { formatNumber } from "./numbers.js";

/** @typedef {[number, number]} Span two numbers, the first one smaller */
/** @typedef {"low" | "high" | "both"} Handle what is moved */

/**
 * How far one key press moves an end: a round number, small beside the range.
 *
 * @param {Readonly<Span>} range
 */
export const spanStep = ([low, high]) => niceStep((high - low) / 400);

/**
 * @param {number} value
 * @param {number} step
 */
const round = (value, step) => Number((Math.round(value / step) * step).toPrecision(12));

/**
 * Moves one end, or both together, to multiples of the step inside the range.
 *
 * @param {Handle} handle
 * @param {Readonly<Span>} span the present one
 * @param {number} target where the end goes; of both, where the lower end goes
 * @param {Readonly<Span>} range
 * @returns {Span} at least one step wide
 */
export function moveSpan(handle, [low, high], target, [first, last]) {
  const step = spanStep([first, last]);
  const wanted = round(target, step);
  if (handle === "low") return [Math.max(first, Math.min(wanted, high - step)), high];
  if (handle === "high") return [low, Math.min(last, Math.max(wanted, low + step))];
  const width = high - low;
  const begin = Math.max(first, Math.min(wanted, last - width));
  // Sums may be off by a rounding error; the range may not be left.
  return [begin, Math.min(last, Number((begin + width).toPrecision(14)))];
}

/**
 * Where a key moves a handle.
 *
 * @param {string} key name of the key as in `KeyboardEvent.key`
 * @param {Handle} handle
 * @param {Readonly<Span>} span
 * @param {Readonly<Span>} range
 * @returns {Span | null} null if the key does not move a handle
 */
export function moveSpanByKey(key, handle, span, range) {
  const from = handle === "high" ? span[1] : span[0];
  const step = spanStep(range);
  /** @type {Record<string, number>} */
  const targets = {
    ArrowRight: from + step,
    ArrowUp: from + step,
    ArrowLeft: from - step,
    ArrowDown: from - step,
    PageUp: from + 20 * step,
    PageDown: from - 20 * step,
    Home: range[0],
    End: range[1],
  };
  return Object.hasOwn(targets, key) ? moveSpan(handle, span, Number(targets[key]), range) : null;
}

/**
 * Bounds on adjacent pieces as a polygon: heights of both sides at both ends of each piece.
 *
 * @typedef {object} Band
 * @property {Float64Array} edges ends of the pieces, one more than pieces
 * @property {Float64Array} lower two heights for each piece
 * @property {Float64Array} upper two heights for each piece
 */

/**
 * @param {Float64Array} edges
 * @param {Float64Array} lower one number for each piece
 * @param {Float64Array} upper
 * @returns {Band}
 */
export function stepBand(edges, lower, upper) {
  /** @param {Float64Array} values */
  const twice = (values) => Float64Array.from({ length: 2 * values.length }, (_, k) => Number(values[k >> 1]));
  return { edges, lower: twice(lower), upper: twice(upper) };
}

/**
 * @param {Float64Array} edges
 * @param {readonly [Float64Array, Float64Array]} lower slopes and offsets of the lines below
 * @param {readonly [Float64Array, Float64Array]} upper slopes and offsets of the lines above
 * @returns {Band}
 */
export function lineBand(edges, lower, upper) {
  /** @param {readonly [Float64Array, Float64Array]} line */
  const heights = ([slope, offset]) =>
    Float64Array.from({ length: 2 * slope.length }, (_, k) => {
      const piece = k >> 1;
      return Number(slope[piece]) * Number(edges[piece + (k & 1)]) + Number(offset[piece]);
    });
  return { edges, lower: heights(lower), upper: heights(upper) };
}

/**
 * Area between both sides.
 *
 * @param {Band} band
 */
export function bandArea({ edges, lower, upper }) {
  let area = 0;
  for (let k = 0; k < upper.length; k += 1) {
    const width = Number(edges[(k >> 1) + 1]) - Number(edges[k >> 1]);
    area += 0.5 * width * (Number(upper[k]) - Number(lower[k]));
  }
  return area;
}

/**
 * Which heights a picture shows: all of the function and the band, unless the band is so much higher that nothing
 * would be seen of the function.
 *
 * @param {Float64Array} y points of the function; those that are not finite are left out
 * @param {Band} band
 * @returns {{ low: number, high: number, cut: boolean }} `cut`: a part of the band lies outside
 */
export function heights(y, { lower, upper }) {
  const values = [...y].filter(Number.isFinite);
  const sides = [...lower, ...upper].filter(Number.isFinite);
  if (values.length === 0 && sides.length === 0) return { low: -1, high: 1, cut: false };
  const own = values.length > 0 ? values : sides;
  let [low, high] = [Math.min(...own), Math.max(...own)];
  if (low === high) [low, high] = [low - 1, high + 1];
  const most = 3 * (high - low);
  const [least, largest] = [Math.min(low, ...sides), Math.max(high, ...sides)];
  const shown = { low: Math.max(least, low - most), high: Math.min(largest, high + most) };
  const space = 0.05 * (shown.high - shown.low);
  return {
    low: shown.low - space,
    high: shown.high + space,
    cut: least < shown.low || largest > shown.high,
  };
}

/**
 * A number for people: four digits, a real minus sign, no rounding dust.
 *
 * @param {number} value
 */
export function show(value) {
  const text = Math.abs(value) < 1e-9 ? "0" : formatNumber(value, ".4g");
  return text.replaceAll("-", "−");
}

/**
 * @param {number} slope
 * @param {number} offset
 * @param {string} variable
 * @returns {string} such as "0.5 z − 1"
 */
export function lineText(slope, offset, variable) {
  const [times, plus] = [show(slope), show(offset)];
  if (times === "0") return plus;
  const product = times === "1" ? variable : times === "−1" ? `−${variable}` : `${times} ${variable}`;
  if (plus === "0") return product;
  return plus.startsWith("−") ? `${product} − ${plus.slice(1)}` : `${product} + ${plus}`;
}

/**
 * What was computed about the pieces of an interval.
 *
 * @typedef {object} Bounds
 * @property {Band} steps two numbers on each piece
 * @property {Band | null} lines two lines on each piece; null if the method computes none
 * @property {{ lower: Span, upper: Span } | null} first slope and offset of the lines of the first piece
 */

/**
 * @param {(name: string) => Float64Array} read
 * @returns {Bounds}
 */
export function readBounds(read) {
  const edges = read("_edges");
  /** @type {[Float64Array, Float64Array]} */
  const lower = [read("_lower_slope"), read("_lower_offset")];
  /** @type {[Float64Array, Float64Array]} */
  const upper = [read("_upper_slope"), read("_upper_offset")];
  const known = lower[0].length > 0;
  /** @param {[Float64Array, Float64Array]} line @returns {Span} */
  const first = ([slope, offset]) => [Number(slope[0]), Number(offset[0])];
  return {
    steps: stepBand(edges, read("_lower"), read("_upper")),
    lines: known ? lineBand(edges, lower, upper) : null,
    first: known ? { lower: first(lower), upper: first(upper) } : null,
  };
}
