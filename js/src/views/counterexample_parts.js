import { changePixels, largest, listedClasses, toPixels } from "../lib/counterexample.js";
import { h, s } from "../lib/dom.js";
import { toRgba } from "../lib/images.js";
import { barSpan, linePath } from "../lib/plots.js";
import { show } from "../lib/span.js";

/** @import { CounterexamplePoint } from "../lib/counterexample_point.js" */
/** @import { Values } from "../lib/counterexample.js" */

const MOST_CLASSES = 12;

/**
 * @param {CounterexamplePoint} point
 * @returns {HTMLElement[]}
 */
export function drawPictures(point) {
  if (point.clean.length !== point.size || point.size === 0) return [];
  if (point.kind === "row") return [featureTable(point)];
  const draw = point.kind === "signal" ? signalPicture : imagePicture;
  const panels = [figure("clean", "clean", draw(point, point.clean, "Clean input"))];
  if (point.proven) {
    const { factor } = point;
    const parts = point.changes(factor);
    const change = point.kind === "signal" ? changeSignal(point, parts) : changeImage(point, parts);
    const [low, high] = point.scale(0);
    const end = show((high - low) / (2 * factor));
    const key = h("span", { class: `dcm-key dcm-key-${point.kind === "image" && point.shape[2] === 1 ? "signed" : "grey"}` });
    const legend = h("span", { class: "dcm-scale" }, `−${end}`, key, `+${end}`);
    panels.push(
      figure("change", `perturbation × ${show(Number(factor.toPrecision(2)))}`, change, legend),
      figure("adversarial", "adversarial", draw(point, point.adversarial, "Adversarial input")),
    );
  }
  return panels;
}

/**
 * @param {string} name
 * @param {string} title
 * @param {Element} picture
 * @param {...Element} below
 */
function figure(name, title, picture, ...below) {
  return h("figure", { class: `dcm-figure dcm-figure-${name}` }, h("figcaption", {}, title), picture, ...below);
}

/**
 * @param {[number, number, number]} shape
 * @param {Uint8Array} pixels
 * @param {string} label
 */
function canvasOf(shape, pixels, label) {
  const [height, width] = shape;
  const canvas = h("canvas", { class: "dcm-canvas", width, height, role: "img", "aria-label": label });
  canvas.classList.toggle("dcm-coarse", Math.max(height, width) <= 96);
  const rgba = toRgba(pixels, 0, shape);
  if (rgba) canvas.getContext("2d")?.putImageData(new ImageData(rgba, width, height), 0, 0);
  return canvas;
}

/**
 * @param {CounterexamplePoint} point
 * @param {Values} values
 * @param {string} label
 */
function imagePicture(point, values, label) {
  return canvasOf(point.shape, toPixels(values, ...point.scale(0)), label);
}

/**
 * @param {CounterexamplePoint} point
 * @param {Float64Array} parts
 */
function changeImage({ shape }, parts) {
  return canvasOf([shape[0], shape[1], 3], changePixels(parts, shape[2]), "Amplified perturbation");
}

/**
 * @param {[number, number, number]} shape
 * @param {Values} values
 * @param {[number, number]} range
 * @param {string} label
 */
function lines([, n, channels], values, range, label) {
  const svg = s("svg", {
    class: "dcm-signal",
    viewBox: "0 0 1 1",
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": label,
  });
  for (let channel = 0; channel < channels; channel += 1) {
    const d = linePath(values, 0, { n, channels, channel }, range, 400);
    svg.append(s("path", { class: `dcm-channel dcm-channel-${channel % 3}`, d }));
  }
  return svg;
}

/**
 * @param {CounterexamplePoint} point
 * @param {Values} values
 * @param {string} label
 */
function signalPicture(point, values, label) {
  const both = [...point.clean, ...point.adversarial];
  return lines(point.shape, values, [Math.min(...both), Math.max(...both)], label);
}

/**
 * @param {CounterexamplePoint} point
 * @param {Float64Array} parts
 */
function changeSignal(point, parts) {
  const svg = lines(point.shape, parts, [-1, 1], "Amplified perturbation");
  svg.prepend(s("line", { class: "dcm-base", x1: 0, x2: 1, y1: 0.5, y2: 0.5 }));
  return svg;
}

/**
 * @param {CounterexamplePoint} point
 */
function featureTable(point) {
  const { factor, featureNames: names } = point;
  const parts = point.proven ? point.changes(factor) : new Float64Array(0);
  const titles = ["feature", "clean", ...(point.proven ? ["change", `× ${show(Number(factor.toPrecision(2)))}`, "adversarial"] : [])];
  const rows = [...point.clean].map((value, k) => {
    const cells = [h("td", {}, show(value))];
    if (point.proven) {
      const other = Number(point.adversarial[k]);
      const change = other - value;
      const text = change === 0 ? "0" : `${change > 0 ? "+" : ""}${show(change)}`;
      cells.push(h("td", {}, text), h("td", { class: "dcm-bar-cell" }, bar(Number(parts[k]), -1, 1)), h("td", {}, show(other)));
    }
    return h("tr", {}, h("th", { scope: "row" }, names[k] ?? `x${k}`), ...cells);
  });
  return h(
    "div",
    { class: "dcm-features-table", tabindex: 0, role: "region", "aria-label": "Features" },
    h(
      "table",
      { class: "dcm-table" },
      h("thead", {}, h("tr", {}, ...titles.map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", {}, ...rows),
    ),
  );
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
function bar(value, low, high) {
  const { from, to } = barSpan(value, low, high);
  const fill = h("span", { class: `dcm-fill ${value < 0 ? "dcm-less" : "dcm-more"}`, hidden: value === 0 });
  fill.style.left = `${100 * from}%`;
  fill.style.width = `${100 * (to - from)}%`;
  return h("span", { class: "dcm-track", "aria-hidden": "true" }, fill);
}

/**
 * @param {CounterexamplePoint} point
 * @param {string} meaning of the outputs
 * @returns {HTMLElement[]}
 */
export function drawPredictions(point, meaning) {
  const both = [...point.cleanOutputs, ...point.outputs].filter(Number.isFinite);
  if (both.length === 0) return [];
  const [low, high] = [Math.min(0, ...both), Math.max(0, ...both)];
  const sides = [{ title: "clean", outputs: point.cleanOutputs }];
  if (point.proven) sides.push({ title: "adversarial", outputs: point.outputs });
  const listed = listedClasses(point.cleanOutputs, point.outputs, point.label, MOST_CLASSES);
  const rows = listed.map((k) => {
    const isLabel = k === point.label;
    const cells = sides.map(({ outputs }) => {
      const wins = largest(outputs) === k;
      const kind = wins ? (isLabel ? "dcm-right" : "dcm-wrong") : "";
      return h(
        "td",
        { class: `dcm-output ${kind}` },
        h(
          "span",
          { class: "dcm-output-parts" },
          bar(Number(outputs[k]), low, high),
          h("span", { class: "dcm-number" }, show(Number(outputs[k]))),
          h("span", { class: "dcm-mark" }, wins ? "◀ predicted" : ""),
        ),
      );
    });
    return h("tr", {}, h("th", { scope: "row" }, point.className(k), isLabel ? h("span", { class: "dcm-label-mark" }, "label") : ""), ...cells);
  });
  const table = h(
    "table",
    { class: "dcm-table dcm-outputs" },
    h("caption", {}, meaning || "Outputs of the real model"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "class"), ...sides.map(({ title }) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, ...rows),
  );
  const all = point.cleanOutputs.length;
  return listed.length < all
    ? [table, h("div", { class: "dcm-note" }, `${listed.length} of ${all} classes: the label, the predictions and the next ones.`)]
    : [table];
}
