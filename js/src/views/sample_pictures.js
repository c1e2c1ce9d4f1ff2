import { h, s } from "../lib/dom.js";
import { toRgba } from "../lib/images.js";
import { formatNumber } from "../lib/numbers.js";
import { barSpan, linePath, scaled } from "../lib/plots.js";

/** @import { GridData } from "../lib/grid_data.js" */

/**
 * What draws one sample.
 *
 * @typedef {object} Painter
 * @property {Element} element
 * @property {(data: GridData, position: number) => void} draw
 * @property {(data: GridData, position: number) => void} reach shows how far epsilon changes the values
 */

/** More features than these are bars without names. */
const MOST_NAMES = 12;
/** Of the lines of a signal, so that the channels differ without any colour. */
const DASHES = ["none", "4 2", "1 2", "6 2 1 2"];

/**
 * @param {GridData} data of which the kind and the shape are looked at
 * @returns {Painter}
 */
export function makePainter(data) {
  const [, n, channels] = data.shape;
  if (data.kind === "signal") return signalPainter(n, channels);
  if (data.kind === "row") return n <= MOST_NAMES ? rowPainter(n) : barsPainter(n);
  return imagePainter();
}

/** @returns {Painter} */
function imagePainter() {
  const canvas = h("canvas", { class: "dcm-canvas dcm-picture", "aria-hidden": "true" });
  return {
    element: canvas,
    draw({ pictures, shape }, position) {
      const [height, width] = shape;
      const rgba = toRgba(/** @type {Uint8Array} */ (pictures), position, shape);
      const context = canvas.getContext("2d");
      if (!context) return;
      canvas.width = width;
      canvas.height = height;
      canvas.classList.toggle("dcm-coarse", Math.max(height, width) <= 96);
      if (rgba) context.putImageData(new ImageData(rgba, width, height), 0, 0);
    },
    reach() {},
  };
}

/**
 * @param {string} name
 * @param {...HTMLElement} children
 */
const part = (name, ...children) => h("span", { class: `dcm-${name}` }, ...children);

/**
 * Features with their names, bars and values.
 *
 * @param {number} n
 * @returns {Painter}
 */
function rowPainter(n) {
  const features = Array.from({ length: n }, () => {
    const [bar, reach] = [part("fill"), part("reach")];
    return { bar, reach, name: part("name"), value: part("value"), track: part("track dcm-picture", bar, reach) };
  });
  return {
    element: h("div", { class: "dcm-features", "aria-hidden": "true" }, ...features.flatMap((f) => [f.name, f.track, f.value])),
    draw({ pictures, range, featureNames }, position) {
      features.forEach(({ name, bar, value }, k) => {
        const number = pictures[position * n + k] ?? NaN;
        name.textContent = name.title = featureNames[k] ?? `x${k}`;
        value.textContent = formatNumber(number, ".3g");
        place(bar, barSpan(number, range[k] ?? 0, range[n + k] ?? 1));
      });
    },
    reach({ pictures, range, epsilon }, position) {
      features.forEach(({ reach }, k) => {
        const [number, low, high] = [pictures[position * n + k] ?? NaN, range[k] ?? 0, range[n + k] ?? 1];
        place(reach, { from: scaled(number - epsilon, low, high), to: scaled(number + epsilon, low, high) });
      });
    },
  };
}

/**
 * @param {HTMLElement} element
 * @param {{ from: number, to: number }} span of the width of its parent, from 0 to 1
 */
function place(element, { from, to }) {
  element.style.left = `${100 * from}%`;
  element.style.width = `${100 * (to - from)}%`;
}

/**
 * Many features: one upright bar each.
 *
 * @param {number} n
 * @returns {Painter}
 */
function barsPainter(n) {
  const path = s("path", { class: "dcm-bars" });
  return {
    element: plot(`0 0 ${n} 1`, path),
    draw({ pictures, range }, position) {
      const bars = Array.from({ length: n }, (_, k) => {
        const { from, to } = barSpan(pictures[position * n + k] ?? NaN, range[k] ?? 0, range[n + k] ?? 1);
        return `M${k + 0.1} ${1 - from}V${1 - to}H${k + 0.9}V${1 - from}Z`;
      });
      path.setAttribute("d", bars.join(""));
    },
    reach() {},
  };
}

/**
 * @param {number} n points
 * @param {number} channels
 * @returns {Painter}
 */
function signalPainter(n, channels) {
  const zero = s("line", { class: "dcm-base", x1: 0, x2: 1 });
  const lines = Array.from({ length: channels }, (_, k) => s("path", { class: "dcm-line", "stroke-dasharray": DASHES[k % 4] ?? "" }));
  // The line again, moved by epsilon: nothing is computed while epsilon moves.
  const bands = channels === 1 ? [1, -1].map((side) => ({ side, path: s("path", { class: "dcm-band", "stroke-dasharray": "3 2" }) })) : [];
  return {
    element: plot("0 0 1 1", zero, ...bands.map((band) => band.path), ...lines),
    draw({ pictures, range }, position) {
      const [low, high] = padded(range);
      const base = scaled(0, low, high);
      zero.setAttribute("visibility", low < 0 && high > 0 ? "visible" : "hidden");
      zero.setAttribute("y1", String(1 - base));
      zero.setAttribute("y2", String(1 - base));
      lines.forEach((line, channel) => {
        const path = linePath(pictures, position * n * channels, { n, channels, channel }, [low, high]);
        line.setAttribute("d", path);
        for (const band of bands) band.path.setAttribute("d", path);
      });
    },
    reach({ range, epsilon }) {
      const [low, high] = padded(range);
      for (const { side, path } of bands) {
        path.setAttribute("transform", `translate(0 ${(-side * epsilon) / (high - low)})`);
      }
    },
  };
}

/**
 * @param {Float64Array} range
 * @returns {[number, number]} with some room at both ends, and never without a length
 */
function padded(range) {
  const [low = 0, high = 1] = range;
  const room = 0.06 * (high - low) || 1;
  return [low - room, high + room];
}

/**
 * @param {string} viewBox stretched over the frame
 * @param {...SVGElement} children
 */
function plot(viewBox, ...children) {
  const attributes = { class: "dcm-small-plot dcm-picture", viewBox, preserveAspectRatio: "none", "aria-hidden": "true" };
  return s("svg", attributes, ...children);
}
