import { niceStep } from "../lib/axis.js";
import { readFloat64, readUint8 } from "../lib/binary.js";
import { bottomAxis, leftAxis, linear, onDrag, onWidth } from "../lib/chart.js";
import { corners, countsAt, splitRadii, stepCurves } from "../lib/curve.js";
import { h, s, setAttributes, uniqueId, watch } from "../lib/dom.js";
import { formatNumber, moveByKey, snap } from "../lib/numbers.js";
import { seriesClass, seriesMarker, seriesStyle } from "../lib/series.js";

/** @import { Counts, Radii } from "../lib/curve.js" */
/** @import { RenderProps } from "../lib/types.js" */
/** @import { Scale } from "../lib/chart.js" */

const CURVES = ["names", "max", "p", "_certified", "_falsified", "_misclassified"];
const TRAITS = [...CURVES, "epsilon", "step"];

const MARGIN = { left: 54, right: 16, top: 32, bottom: 42 };

/** @param {RenderProps} props */
export function robustnessCurve({ model, el }) {
  const plot = h("div", { class: "dcm-plot", "data-lm-suppress-shortcuts": true });
  const body = h("tbody");
  const heading = h("th", { scope: "col", class: "dcm-at" });
  const table = h(
    "table",
    { class: "dcm-values" },
    h("caption", { class: "dcm-hidden" }, "Accuracies at the cursor"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        heading,
        column("certified", true, "Proven to keep their class"),
        column("attacked", false, "No counterexample is known of them"),
        h("th", { scope: "col", title: "Neither proven nor refuted: the truth lies in the band" }, swatchOfBand(), " undecided"),
      ),
    ),
    body,
  );
  const root = h("div", { class: "dcm-root dcm-series dcm-curve" }, plot, table);

  const line = s("line", { class: "dcm-cursor-line" });
  const grip = s("path", { class: "dcm-cursor-grip", d: "M-7 -27h14v9l-7 8l-7 -8Z" });
  const points = s("g", { class: "dcm-points", "aria-hidden": "true" });
  const cursor = s(
    "g",
    {
      class: "dcm-cursor",
      role: "slider",
      tabindex: 0,
      "aria-label": "epsilon",
      "aria-orientation": "horizontal",
      "data-lm-suppress-shortcuts": true,
    },
    s("rect", { class: "dcm-cursor-ground", x: -14, y: -31, width: 28, height: 25 }),
    line,
    grip,
  );
  const svg = s("svg", { class: "dcm-svg", role: "group" });
  const back = s("g", { "aria-hidden": "true" });
  svg.append(back, cursor, points);

  /** @type {Radii[]} */
  let series = [];
  let bottom = 0;
  /** @type {Scale} */
  let x = linear([0, 1], [MARGIN.left, 100]);
  /** @type {Scale} */
  let y = linear([0, 1], [100, MARGIN.top]);

  const names = () => /** @type {string[]} */ (model.get("names") ?? []);
  const epsilon = () => Number(model.get("epsilon"));
  const limits = () => {
    const [min, max] = [Number(model.get("min") ?? 0), Number(model.get("max"))];
    return { min, max, step: Number(model.get("step") ?? niceStep(max / 500)) };
  };
  const empty = () => series.every((radii) => radii.certified.length === 0);

  const read = () => {
    series = splitRadii(
      names().length,
      readFloat64(model.get("_certified")),
      readFloat64(model.get("_falsified")),
      readUint8(model.get("_misclassified")),
    );
  };

  const paintPlot = () => {
    read();
    table.hidden = empty();
    if (empty()) {
      plot.replaceChildren(h("p", { class: "dcm-empty" }, "No samples yet."));
      return;
    }
    const width = Math.max(240, plot.clientWidth || 600);
    const height = Math.round(Math.min(340, Math.max(220, 0.5 * width)));
    bottom = height - MARGIN.bottom;
    // An epsilon beyond the end is shown where it is.
    const end = Math.max(limits().max, epsilon());
    x = linear([0, end], [MARGIN.left, width - MARGIN.right]);
    y = linear([0, 1], [bottom, MARGIN.top]);
    setAttributes(svg, { width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": description(end) });
    const hatches = s("defs");
    const bands = s("g");
    const lines = s("g");
    series.forEach((radii, k) => paintSeries(radii, k, end, { hatches, bands, lines }));
    back.replaceChildren(
      hatches,
      leftAxis(y, MARGIN.left, width - MARGIN.right, "accuracy", percent),
      bottomAxis(x, bottom, `radius ε (norm ${normOf(model.get("p"))})`, width),
      bands,
      lines,
    );
    setAttributes(line, { y1: -12, y2: bottom - MARGIN.top });
    if (plot.firstChild !== svg) plot.replaceChildren(svg);
  };

  /**
   * @param {Radii} radii
   * @param {number} k
   * @param {number} end
   * @param {{ hatches: SVGElement, bands: SVGElement, lines: SVGElement }} layers
   */
  const paintSeries = (radii, k, end, { hatches, bands, lines }) => {
    const { certified, attacked } = stepCurves(radii, end);
    const [low, high] = [certified, attacked].map((steps) =>
      corners(steps, end).map(([radius, count]) => `${round(x.at(radius))} ${round(y.at(part(count, radii.certified.length)))}`),
    );
    if (!low || !high) return;
    const id = uniqueId();
    const { dash, angle } = seriesStyle(k);
    hatches.append(
      s(
        "pattern",
        { id, class: seriesClass(k), width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${angle})` },
        s("rect", { class: "dcm-band-ground", width: 7, height: 7 }),
        s("line", { class: "dcm-band-line", x1: 0, x2: 7, y1: 0, y2: 0 }),
      ),
    );
    bands.append(s("path", { class: "dcm-band", d: `M${high.join("L")}L${[...low].reverse().join("L")}Z`, fill: `url(#${id})` }));
    const common = { "stroke-dasharray": dash || "none" };
    lines.append(
      s(
        "g",
        { class: seriesClass(k) },
        s("path", { class: "dcm-series-line dcm-attacked", d: `M${high.join("L")}`, ...common }),
        s("path", { class: "dcm-series-line dcm-certified", d: `M${low.join("L")}`, ...common }),
      ),
    );
  };

  const paintCursor = () => {
    const at = epsilon();
    if (at > x.high || (x.high > limits().max && at < x.high)) paintPlot();
    if (empty()) return;
    const here = x.at(Math.min(at, x.high));
    const counts = series.map((radii) => countsAt(radii, at));
    cursor.setAttribute("transform", `translate(${here} ${MARGIN.top})`);
    points.replaceChildren(
      ...counts.flatMap(({ certified, attacked, total }, k) => [
        // Where both are equal, the disc is seen inside of the square.
        s("g", { class: seriesClass(k) }, kindMarker(false, here, y.at(part(attacked, total))), kindMarker(true, here, y.at(part(certified, total)))),
      ]),
    );
    const shown = formatNumber(at, ".4f");
    heading.textContent = `ε = ${shown}`;
    body.replaceChildren(...counts.map((one, k) => valueRow(names()[k] ?? "", one, k)));
    const spoken = counts.map(
      ({ certified, attacked, total }, k) =>
        `${names()[k]} certified ${percent(part(certified, total))}, attacked ${percent(part(attacked, total))}`,
    );
    setAttributes(cursor, {
      "aria-valuemin": limits().min,
      "aria-valuemax": x.high,
      "aria-valuenow": at,
      "aria-valuetext": `${shown}: ${spoken.join("; ")}`,
    });
  };

  /** @param {number} end */
  const description = (end) => {
    const parts = series.map((radii, k) => {
      const [first, last] = [countsAt(radii, 0), countsAt(radii, end)];
      return `${names()[k]} certified ${percent(part(first.certified, first.total))} to ${percent(part(last.certified, last.total))}`;
    });
    return `Accuracy for epsilon from 0 to ${formatNumber(end, ".4g")}: ${parts.join("; ")}.`;
  };

  /** @param {number} value */
  const commit = (value) => {
    if (value === epsilon()) return;
    model.set("epsilon", value);
    model.save_changes();
  };
  /** @param {PointerEvent} event */
  const follow = (event) => {
    const { left } = svg.getBoundingClientRect();
    const { min, max, step } = limits();
    commit(snap(x.invert(event.clientX - left), min, max, step));
  };
  onDrag(svg, {
    start: (event) => {
      const { left, top } = svg.getBoundingClientRect();
      const [across, down] = [event.clientX - left, event.clientY - top];
      if (across < MARGIN.left - 14 || across > x.at(x.high) + 14 || down > bottom + 20) return false;
      cursor.focus({ preventScroll: true });
      root.classList.add("dcm-dragging");
      follow(event);
      return true;
    },
    move: follow,
    end: () => root.classList.remove("dcm-dragging"),
  });
  cursor.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = moveByKey(event.key, epsilon(), limits());
    if (target === null) return;
    event.preventDefault();
    event.stopPropagation();
    commit(target);
  });

  const paintAll = () => {
    paintPlot();
    paintCursor();
  };

  paintAll();
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  const stopWidth = onWidth(plot, paintAll);
  const stop = watch(model, TRAITS, (changed) => {
    // While it is dragged only the cursor moves; the curves stay as they are.
    if (CURVES.some((name) => changed.has(name))) paintAll();
    else paintCursor();
  });
  return () => {
    stopWidth();
    stop();
  };
}

/**
 * One row of the table: what is known at the cursor.
 *
 * @param {string} name
 * @param {Counts} counts
 * @param {number} k which series
 */
function valueRow(name, { certified, attacked, total }, k) {
  const key = s(
    "svg",
    { class: `dcm-series-swatch ${seriesClass(k)}`, viewBox: "0 0 34 12", width: 34, height: 12, "aria-hidden": "true" },
    s("line", { class: "dcm-series-line dcm-attacked", x1: 1, x2: 33, y1: 2, y2: 2, "stroke-dasharray": seriesStyle(k).dash || "none" }),
    s("line", { class: "dcm-series-line dcm-certified", x1: 1, x2: 33, y1: 9, y2: 9, "stroke-dasharray": seriesStyle(k).dash || "none" }),
  );
  /** @param {number} count */
  const cell = (count) => h("td", {}, h("b", {}, percent(part(count, total))), h("span", { class: "dcm-count" }, ` ${count} of ${total}`));
  return h("tr", {}, h("th", { scope: "row" }, key, " ", h("span", {}, name)), cell(certified), cell(attacked), cell(attacked - certified));
}

/**
 * The head of a column with the marker that stands for it at the cursor.
 *
 * @param {string} text
 * @param {boolean} certified
 * @param {string} title
 */
function column(text, certified, title) {
  const mark = s(
    "svg",
    { class: "dcm-kind", viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" },
    s("line", { class: certified ? "dcm-certified" : "dcm-attacked", x1: 0, x2: 14, y1: 7, y2: 7 }),
    kindMarker(certified, 7, 7),
  );
  return h("th", { scope: "col", title }, mark, ` ${text}`);
}

function swatchOfBand() {
  return s(
    "svg",
    { class: "dcm-kind", viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" },
    s("rect", { class: "dcm-band-ground", x: 1, y: 2, width: 12, height: 10 }),
    s("path", { class: "dcm-band-line", d: "M1 8L7 2M3 12L13 2M9 12L13 8" }),
  );
}

/**
 * A disc for what is certified, a hollow square for what is attacked; colours tell series apart.
 *
 * @param {boolean} certified
 * @param {number} x
 * @param {number} y
 */
function kindMarker(certified, x, y) {
  return seriesMarker(certified ? 0 : 1, x, y, certified, 4.4);
}

/**
 * @param {number} count
 * @param {number} total of a model without samples, nothing is shown
 */
const part = (count, total) => (total > 0 ? count / total : 0);

/** @param {number} fraction */
const percent = (fraction) => `${formatNumber(100 * fraction, ".3g")} %`;

/** @param {unknown} p */
const normOf = (p) => (p === "inf" || p === undefined ? "∞" : String(p));

/** @param {number} pixel */
const round = (pixel) => Math.round(100 * pixel) / 100;
