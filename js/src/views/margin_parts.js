import { s } from "../lib/dom.js";
import { formatNumber } from "../lib/numbers.js";
import { seriesClass, seriesMarker, seriesStyle } from "../lib/series.js";

/** @import { Scale } from "../lib/chart.js" */

/**
 * The interval of one method: a line between two markers. An end outside of the axis is an arrow, and what
 * is not a number is said in words.
 *
 * @param {number} k which method
 * @param {number} lower
 * @param {number} upper
 * @param {Scale} x
 * @param {number} y
 */
export function paintInterval(k, lower, upper, x, y) {
  const group = s("g", { class: seriesClass(k) });
  if (Number.isNaN(lower) && Number.isNaN(upper)) {
    group.append(s("text", { class: "dcm-unknown-text", ...beside(x, Infinity, 6), y: y + 4 }, "not known"));
    return group;
  }
  // What is not known reaches beyond every end.
  const ends = /** @type {const} */ ([
    [Number.isNaN(lower) ? -Infinity : lower, -1],
    [Number.isNaN(upper) ? Infinity : upper, 1],
  ]);
  const [from, to] = ends.map(([end]) => x.at(Math.min(x.high, Math.max(x.low, end))));
  const dash = seriesStyle(k).dash || "none";
  group.append(s("line", { class: "dcm-series-line", x1: from ?? 0, x2: to ?? 0, y1: y, y2: y, "stroke-dasharray": dash }));
  for (const [end, side] of ends) {
    const at = Math.min(x.high, Math.max(x.low, end));
    if (at === end) group.append(seriesMarker(k, x.at(end), y));
    else group.append(s("path", { class: "dcm-series-marker dcm-filled dcm-cut", d: `M${x.at(at)} ${y - 4}l${6 * side} 4l${-6 * side} 4Z` }));
  }
  return group;
}

/**
 * Where zero is, in words at both of its sides, as far as there is room.
 *
 * @param {Scale} x
 * @param {number} width
 * @param {number} left
 */
export function signs(x, width, left) {
  const found = [];
  if (x.at(0) - left > 84) found.push(s("text", { x: x.at(0) - 8, y: 11, "text-anchor": "end" }, "◂ label wins"));
  if (width - 6 - x.at(0) > 84) found.push(s("text", { x: x.at(0) + 8, y: 11 }, "class wins ▸"));
  return found;
}

/**
 * Where a text beside zero stands: right of it where there is room.
 *
 * @param {Scale} x
 * @param {number} width
 * @param {number} gap
 */
export function beside(x, width, gap) {
  const right = Math.min(width - 30, x.at(x.high)) - x.at(0) > 70;
  return right ? { x: x.at(0) + gap, "text-anchor": "start" } : { x: x.at(0) - gap, "text-anchor": "end" };
}

/**
 * An interval in words.
 *
 * @param {number} lower
 * @param {number} upper
 */
export function interval(lower, upper) {
  const [low, high] = [lower, upper].map((end) => (Number.isFinite(end) ? formatNumber(end, ".4g").replace("-", "−") : null));
  if (low !== null && high !== null) return `${low} to ${high}`;
  if (high !== null) return `at most ${high}`;
  if (low !== null) return `at least ${low}`;
  return Number.isNaN(lower) && Number.isNaN(upper) ? "not known" : "unbounded";
}

/**
 * Cuts a name that is too long for its place; a character is about seven pixels wide.
 *
 * @param {string} text
 * @param {number} pixels
 */
export function shorten(text, pixels) {
  const most = Math.max(2, Math.floor(pixels / 7));
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
