import { s } from "./dom.js";

/**
 * How one of several methods or models is drawn. `decomon_widgets._series` holds the same table for
 * pictures; the colours are in `views/series.css`.
 *
 * @typedef {object} SeriesStyle
 * @property {string} dash lengths of dashes and gaps, "" for a solid line
 * @property {(r: number) => string} marker path of a marker around the origin
 * @property {number} angle of the hatching of its band, in degrees
 */

/** @type {readonly SeriesStyle[]} */
export const SERIES = [
  { dash: "", marker: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`, angle: 45 },
  { dash: "7 3", marker: (r) => `M${-r} ${-r}H${r}V${r}H${-r}Z`, angle: -45 },
  { dash: "2 3", marker: (r) => `M0 ${-1.2 * r}L${1.15 * r} ${0.9 * r}H${-1.15 * r}Z`, angle: 90 },
  { dash: "9 3 2 3", marker: (r) => `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`, angle: 0 },
  { dash: "4 2", marker: (r) => `M0 ${1.2 * r}L${1.15 * r} ${-0.9 * r}H${-1.15 * r}Z`, angle: 20 },
  { dash: "12 4", marker: (r) => `M${-r} ${-0.4 * r}H${-0.4 * r}V${-r}H${0.4 * r}V${-0.4 * r}H${r}V${0.4 * r}H${0.4 * r}V${r}H${-0.4 * r}V${0.4 * r}H${-r}Z`, angle: 70 },
];

/**
 * @param {number} k
 * @returns {SeriesStyle} they repeat after the last one
 */
export const seriesStyle = (k) => /** @type {SeriesStyle} */ (SERIES[k % SERIES.length]);

/** @param {number} k */
export const seriesClass = (k) => `dcm-series-${k % SERIES.length}`;

/**
 * @param {number} k
 * @param {number} x
 * @param {number} y
 * @param {boolean} [filled]
 * @param {number} [r] half of its size
 * @returns {SVGElement}
 */
export function seriesMarker(k, x, y, filled = k % 2 === 0, r = 3.6) {
  const kind = filled ? "dcm-series-marker dcm-filled" : "dcm-series-marker";
  return s("path", { class: kind, d: seriesStyle(k).marker(r), transform: `translate(${x} ${y})` });
}

/**
 * A piece of a line with its marker, for a legend.
 *
 * @param {number} k
 * @returns {SVGElement}
 */
export function seriesSwatch(k) {
  return s(
    "svg",
    { class: `dcm-series-swatch ${seriesClass(k)}`, viewBox: "0 0 34 12", width: 34, height: 12, "aria-hidden": "true" },
    s("line", { class: "dcm-series-line", x1: 1, x2: 33, y1: 6, y2: 6, "stroke-dasharray": seriesStyle(k).dash || "none" }),
    seriesMarker(k, 17, 6),
  );
}
