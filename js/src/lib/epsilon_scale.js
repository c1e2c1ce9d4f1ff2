import { niceStep } from "./axis.js";
import { formatNumber, parseNumber, snap } from "./numbers.js";

/**
 * How a slider shows a number: as it is, or as a number of levels of an image, 1/255 each.
 *
 * @typedef {"value" | "255"} Unit
 */

/**
 * @typedef {object} Range
 * @property {number} min
 * @property {number} max
 * @property {number} step
 * @property {Unit} unit
 * @property {boolean} log
 */

/** Ratio of neighbouring positions on a logarithmic scale: twenty of them a decade. */
const RATIO = 10 ** (1 / 20);

/** Part of a logarithmic track that belongs to its left end, where that is zero. */
const ZERO_PART = 0.06;

/**
 * Formats a number in its unit.
 *
 * @param {number} value
 * @param {string} spec as for `formatNumber`; fixed digits are two less in units of 1/255
 * @param {Unit} unit
 * @returns {string}
 */
export function formatUnit(value, spec, unit) {
  if (unit === "value") return formatNumber(value, spec);
  const levels = Number((255 * value).toPrecision(12));
  const fixed = /^\.(\d+)f$/.exec(spec);
  // A percentage of a level is of no use to anybody.
  const short = fixed ? `.${Math.max(0, Number(fixed[1]) - 2)}f` : spec.replace("%", "g");
  return formatNumber(levels, short);
}

/**
 * The same with the name of the unit, for a sentence.
 *
 * @param {number} value
 * @param {string} spec
 * @param {Unit} unit
 * @returns {string}
 */
export function nameUnit(value, spec, unit) {
  return unit === "255" ? `${formatUnit(value, spec, unit)}/255` : formatUnit(value, spec, unit);
}

/**
 * Reads what was typed. In units of 1/255, a fraction over 255 already names its unit.
 *
 * @param {string} text
 * @param {{ min: number, max: number, unit: Unit }} range
 * @param {string} spec of the numbers in the answer
 * @returns {{ value: number } | { error: string }}
 */
export function readUnit(text, { min, max, unit }, spec) {
  const typed = parseNumber(text);
  const shown = text.trim();
  if (typed === null) {
    const received = shown === "" ? "nothing" : `“${shown}”`;
    const hint = unit === "255" ? "a number of 1/255 such as 8 or 7.5, or 8/255" : "a number such as 0.03 or 8/255";
    return { error: `Type ${hint}. Received ${received}.` };
  }
  const value = unit === "255" && !/\/\s*\+?255(\.0*)?\s*$/.test(text) ? typed / 255 : typed;
  if (value < min || value > max) {
    const ends = [min, max].map((end) => nameUnit(end, spec, unit)).join(" and ");
    return { error: `Must lie between ${ends}. Received “${shown}”.` };
  }
  return { value };
}

/**
 * Smallest value above zero of a logarithmic scale.
 *
 * @param {Range} range
 */
function floorOf({ min, max, step }) {
  if (min > 0) return min;
  return step < max ? step : max / 1000;
}

/**
 * Where a value is on the track.
 *
 * @param {number} value
 * @param {Range} range
 * @returns {number} from 0 at the left end to 1 at the right end
 */
export function fractionOf(value, range) {
  const { min, max } = range;
  const inside = Math.min(max, Math.max(min, value));
  if (!range.log) return (inside - min) / (max - min);
  const floor = floorOf(range);
  const zero = min > 0 ? 0 : ZERO_PART;
  // Between zero and the smallest position there is only a typed value.
  if (inside < floor) return (zero * inside) / floor;
  return zero + ((1 - zero) * Math.log(inside / floor)) / Math.log(max / floor);
}

/**
 * The value at a place of the track: the nearest position of the slider.
 *
 * @param {number} fraction
 * @param {Range} range
 * @returns {number}
 */
export function valueAt(fraction, range) {
  const { min, max } = range;
  if (!range.log) return nearest(min + fraction * (max - min), range);
  if (fraction <= 0) return min;
  if (fraction >= 1) return max;
  const floor = floorOf(range);
  const zero = min > 0 ? 0 : ZERO_PART;
  if (fraction < zero / 2) return 0;
  const part = Math.max(0, (fraction - zero) / (1 - zero));
  return readable(floor * (max / floor) ** part, range);
}

/**
 * Where a key moves the slider.
 *
 * @param {string} key name of the key as in `KeyboardEvent.key`
 * @param {number} value
 * @param {Range} range
 * @returns {number | null} null if the key does not move a slider
 */
export function moveOnScale(key, value, range) {
  if (key === "Home") return range.min;
  if (key === "End") return range.max;
  const steps = /** @type {Record<string, number>} */ ({
    ArrowRight: 1,
    ArrowUp: 1,
    ArrowLeft: -1,
    ArrowDown: -1,
    PageUp: 10,
    PageDown: -10,
  })[key];
  if (steps === undefined) return null;
  if (range.log) return moveLog(steps, value, range);
  const { min, max } = range;
  const step = stepOf(range);
  const direction = Math.sign(steps);
  if (Math.abs(steps) > 1) return nearest(value + direction * Math.max(step, (max - min) / 10), range);
  // The next position on that side, also from between two of them.
  const at = direction * ((value - min) / step);
  return nearest(min + direction * (Math.floor(at + 1e-6) + 1) * step, range);
}

/**
 * @param {number} steps
 * @param {number} value
 * @param {Range} range
 * @returns {number}
 */
function moveLog(steps, value, range) {
  const { min, max } = range;
  const floor = floorOf(range);
  // With room for its rounding to three digits.
  if (value < floor / Math.sqrt(RATIO)) return steps > 0 ? readable(floor * RATIO ** (steps - 1), range) : min;
  const last = Math.floor(Math.log(max / floor) / Math.log(RATIO) + 1e-9);
  // The end is a position of its own, above the last of the even ones.
  const at = value >= max ? last + 1 : Math.round(Math.log(value / floor) / Math.log(RATIO));
  const to = at + steps;
  if (to < 0) return min;
  if (to > last) return max;
  return readable(floor * RATIO ** to, range);
}

/**
 * Three digits: a value between two positions of the screen has no more.
 *
 * @param {number} value
 * @param {Range} range
 */
function readable(value, { min, max, unit }) {
  const short = unit === "255" ? Number((255 * value).toPrecision(3)) / 255 : Number(value.toPrecision(3));
  return Math.min(max, Math.max(min, short));
}

/**
 * Distance of the positions of a linear scale: the step, in units of 1/255 a round number near to it.
 *
 * @param {Range} range
 */
function stepOf({ step, unit }) {
  return unit === "255" ? niceStep(255 * step) / 255 : step;
}

/**
 * @param {number} value
 * @param {Range} range
 */
function nearest(value, { min, max, step, unit }) {
  if (unit === "value") return snap(value, min, max, step);
  const level = snap(255 * value, 255 * min, 255 * max, niceStep(255 * step));
  // The ends again exactly: 255 times a number and divided by it may be its neighbour.
  if (level <= 255 * min) return min;
  if (level >= 255 * max) return max;
  return level / 255;
}
