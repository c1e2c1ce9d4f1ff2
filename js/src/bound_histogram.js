import { niceStep, niceTicks, sideOfZero } from "./lib/axis.js";
import { readFloat64, readInt32 } from "./lib/binary.js";
import { h, s, uniqueId, watch } from "./lib/dom.js";
import { formatNumber } from "./lib/numbers.js";
import { countChips } from "./lib/parts.js";
import { countVerdicts, countsSentence } from "./lib/verdicts.js";

/** @import { RenderProps } from "./lib/types.js" */

const TRAITS = [
  "verdicts",
  "epsilon",
  "evaluated_epsilon",
  "busy",
  "error",
  "n_bounds",
  "n_non_finite",
  "_edges",
  "_upper_counts",
  "_lower_counts",
];

const HEIGHT = 250;
const MARGIN = { left: 46, right: 14, top: 8, bottom: 42 };
const GAP = 28;
const PANEL = (HEIGHT - MARGIN.top - MARGIN.bottom - GAP) / 2;

/**
 * One of the two panels: counts of the upper or of the lower bounds.
 *
 * @typedef {object} Panel
 * @property {string} title
 * @property {Int32Array} counts
 * @property {"negative" | "positive"} provingSide bins on this side of zero decide the verdict
 * @property {"robust" | "non_robust"} proves
 * @property {number} top
 */

/** @param {RenderProps} props */
function render({ model, el }) {
  const hatchId = uniqueId();
  const chips = h("div", { class: "dcm-chips" });
  const status = h("span", { class: "dcm-epsilon" });
  const plot = h("div", { class: "dcm-plot" });
  const legend = h("div", { class: "dcm-legend" });
  const note = h("div", { class: "dcm-note" });
  const live = h("div", { class: "dcm-hidden", role: "status", "aria-live": "polite" });
  const root = h(
    "div",
    { class: "dcm-root dcm-histogram" },
    h("div", { class: "dcm-bar" }, status, chips),
    plot,
    legend,
    note,
    live,
  );
  let paintedWidth = 0;

  for (const [name, text] of /** @type {const} */ ([
    ["robust", "upper bound < 0: robust"],
    ["non_robust", "lower bound > 0: wrong class found"],
    ["open", "undecided by this bound"],
  ])) {
    const swatch = s("svg", { class: `dcm-swatch dcm-${name}`, viewBox: "0 0 14 10", "aria-hidden": "true" });
    swatch.append(s("rect", { class: "dcm-column", x: 1, y: 1, width: 12, height: 8 }));
    legend.append(h("span", {}, swatch, ` ${text}`));
  }

  /**
   * @param {Panel} panel
   * @param {Float64Array} edges
   * @param {number} peak
   * @param {(margin: number) => number} x
   * @param {number} width
   */
  const paintPanel = (panel, edges, peak, x, width) => {
    const group = s("g", { transform: `translate(0 ${panel.top})` });
    /** @param {number} count */
    const y = (count) => PANEL - (count / peak) * PANEL;
    const step = Math.max(1, niceStep(peak / 3));
    for (let count = 0; count <= peak; count += Math.ceil(step)) {
      group.append(
        s("line", { class: "dcm-grid-line", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(count), y2: y(count) }),
        s("text", { class: "dcm-tick", x: MARGIN.left - 6, y: y(count) + 4, "text-anchor": "end" }, String(count)),
      );
    }
    panel.counts.forEach((count, k) => {
      if (count === 0) return;
      const left = /** @type {number} */ (edges[k]);
      const right = /** @type {number} */ (edges[k + 1]);
      const kind = sideOfZero(left, right) === panel.provingSide ? panel.proves : "open";
      const column = s("rect", {
        class: `dcm-column dcm-${kind}`,
        x: x(left) + 1,
        y: y(count),
        width: Math.max(1, x(right) - x(left) - 2),
        height: PANEL - y(count),
      });
      const range = `${formatNumber(left, ".3g")} to ${formatNumber(right, ".3g")}`;
      column.append(s("title", {}, `${panel.title} from ${range}: ${count}`));
      group.append(column);
    });
    // Zero is one of the edges, so it is always on the axis.
    group.append(
      s("line", { class: "dcm-zero", x1: x(0), x2: x(0), y1: -3, y2: PANEL }),
      s("text", { class: "dcm-panel-title", x: MARGIN.left, y: -7 }, panel.title),
    );
    return group;
  };

  const paintPlot = () => {
    const edges = readFloat64(model.get("_edges"));
    const width = Math.max(240, plot.clientWidth || 600);
    paintedWidth = plot.clientWidth;
    if (edges.length < 2) {
      const text = model.get("busy") ? "Computing the bounds…" : "No bounds to draw.";
      plot.replaceChildren(h("p", { class: "dcm-empty" }, text));
      return;
    }
    const low = /** @type {number} */ (edges[0]);
    const high = /** @type {number} */ (edges[edges.length - 1]);
    const upper = readInt32(model.get("_upper_counts"));
    const lower = readInt32(model.get("_lower_counts"));
    const peak = Math.max(1, ...upper, ...lower);
    /** @param {number} margin */
    const x = (margin) =>
      MARGIN.left + ((margin - low) / (high - low)) * (width - MARGIN.left - MARGIN.right);
    const first = MARGIN.top + 14;
    const second = first + PANEL + GAP;
    const base = second + PANEL;
    const svg = s("svg", {
      class: "dcm-svg",
      width,
      height: base + MARGIN.bottom,
      viewBox: `0 0 ${width} ${base + MARGIN.bottom}`,
      role: "img",
      "aria-label": description(),
    });
    svg.append(
      s(
        "defs",
        {},
        s(
          "pattern",
          { id: hatchId, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
          s("rect", { class: "dcm-hatch-ground", width: 6, height: 6 }),
          s("line", { class: "dcm-hatch-line", x1: 0, y1: 0, x2: 0, y2: 6 }),
        ),
      ),
      paintPanel(
        { title: "upper bound", counts: upper, provingSide: "negative", proves: "robust", top: first },
        edges,
        peak,
        x,
        width,
      ),
      paintPanel(
        { title: "lower bound", counts: lower, provingSide: "positive", proves: "non_robust", top: second },
        edges,
        peak,
        x,
        width,
      ),
      s("line", { class: "dcm-axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: base, y2: base }),
    );
    for (const tick of niceTicks(low, high, Math.max(2, Math.floor(width / 90)))) {
      const label = formatNumber(tick, ".4g");
      // A long label at the right end would be cut; a character is about seven pixels wide.
      const anchor = width - x(tick) < 3.5 * label.length ? "end" : "middle";
      svg.append(
        s("line", { class: "dcm-axis", x1: x(tick), x2: x(tick), y1: base, y2: base + 5 }),
        s("text", { class: "dcm-tick", x: x(tick), y: base + 18, "text-anchor": anchor }, label),
      );
    }
    svg.append(
      s(
        "text",
        { class: "dcm-axis-title", x: (MARGIN.left + width - MARGIN.right) / 2, y: base + 36, "text-anchor": "middle" },
        "bound of the largest margin",
      ),
      s(
        "text",
        { class: "dcm-axis-title", transform: `translate(12 ${(first + base) / 2}) rotate(-90)`, "text-anchor": "middle" },
        "samples",
      ),
    );
    plot.replaceChildren(svg);
    root.style.setProperty("--dcm-hatch", `url(#${hatchId})`);
  };

  const description = () => {
    const counts = countsSentence(countVerdicts(model.get("verdicts")));
    return `Histogram of ${model.get("n_bounds")} upper and lower margin bounds: ${counts}.`;
  };

  const repaint = () => {
    const verdicts = /** @type {string[]} */ (model.get("verdicts"));
    const counts = countVerdicts(verdicts);
    const busy = Boolean(model.get("busy"));
    const epsilon = Number(model.get("epsilon"));
    const evaluated = model.get("evaluated_epsilon") === null ? NaN : Number(model.get("evaluated_epsilon"));
    const skipped = Number(model.get("n_non_finite"));
    const stale = Number.isFinite(evaluated) && evaluated !== epsilon;
    root.classList.toggle("dcm-stale", stale);
    status.textContent = `ε = ${formatNumber(epsilon, ".4f")}`;
    chips.replaceChildren(...countChips(counts));
    paintPlot();
    const lines = [];
    if (stale) lines.push(`The bars still show ε = ${formatNumber(evaluated, ".4f")}.`);
    if (model.get("error")) lines.push("The last request failed; its source shows the error.");
    if (skipped > 0) lines.push(`Not drawn, because not finite: ${skipped} of ${2 * verdicts.length} bounds.`);
    note.replaceChildren(...lines.map((line) => h("div", {}, line)));
    if (!busy) live.textContent = description();
  };

  repaint();
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  // The first painting happened outside of the page, where nothing has a width yet; this also is the resize handler.
  const observer = new ResizeObserver(() => {
    if (plot.clientWidth !== paintedWidth) paintPlot();
  });
  observer.observe(plot);
  const stop = watch(model, TRAITS, repaint);
  return () => {
    observer.disconnect();
    stop();
  };
}

export default { render };
