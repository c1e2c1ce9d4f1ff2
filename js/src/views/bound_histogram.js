import { readFloat64 } from "../lib/binary.js";
import { binEdges, binOf, brushed, countBins, countLeftOut, drawable } from "../lib/bins.js";
import { bottomAxis, linear, onDrag, onWidth } from "../lib/chart.js";
import { h, s, setAttributes, uniqueId, watch } from "../lib/dom.js";
import { verdictFills } from "../lib/fills.js";
import { HEIGHT, MARGIN, PANEL, TOPS, binOption, gridLines, legendChips, total, verticalTitle } from "../lib/histogram_bars.js";
import { formatNumber } from "../lib/numbers.js";
import { countVerdicts, countsSentence } from "../lib/verdicts.js";

/** @import { RenderProps } from "../lib/types.js" */
/** @import { Bound } from "../lib/bins.js" */
/** @import { Scale } from "../lib/chart.js" */

const TRAITS = ["verdicts", "upper", "lower", "epsilon", "evaluated_epsilon", "bins", "busy", "error"];

/** How near to an end of the interval, in pixels, a press takes hold of it. */
const GRIP = 9;

/**
 * An interval of one of the bounds. It is drawn as long as it selects what is selected.
 *
 * @typedef {object} Brush
 * @property {Bound} bound
 * @property {number} low -Infinity at the left end of the axis
 * @property {number} high Infinity at its right end
 */

/**
 * What is drawn, from the traits.
 *
 * @typedef {object} Picture
 * @property {string[]} verdicts
 * @property {Record<Bound, Float64Array>} values
 * @property {Float64Array} edges
 * @property {Scale} x
 * @property {number} width
 */

/**
 * @typedef {object} Panel
 * @property {Bound} bound
 * @property {number} top
 * @property {SVGElement} bars
 * @property {SVGElement} list
 * @property {number} cursor the bin that the keyboard is at, -1 for none
 * @property {number} anchor the bin where a selection by the keyboard began
 */

/** @param {RenderProps} props */
export function boundHistogram({ model, el }) {
  const hintId = uniqueId();
  const chips = h("div", { class: "dcm-chips" });
  const status = h("span", { class: "dcm-epsilon" });
  const plot = h("div", { class: "dcm-plot" });
  const count = h("span");
  const clear = h("button", { class: "dcm-clear", type: "button" }, "Clear selection");
  const selection = h("div", { class: "dcm-selection" }, count, clear);
  const hint = h(
    "div",
    { class: "dcm-hint", id: hintId },
    "Drag across a panel or tap a bar to select samples. Keyboard: arrow keys, Shift to extend, Escape for none.",
  );
  const note = h("div", { class: "dcm-note" });
  const live = h("div", { class: "dcm-hidden", role: "status", "aria-live": "polite" });
  const root = h(
    "div",
    { class: "dcm-root dcm-histogram" },
    h("div", { class: "dcm-bar" }, status, chips),
    plot,
    selection,
    hint,
    note,
    live,
  );
  const { defs, fill } = verdictFills();
  const axes = s("g");
  const band = s("g", { class: "dcm-band", "pointer-events": "none" });
  const svg = s("svg", { class: "dcm-svg", role: "group", height: HEIGHT }, defs, axes);
  const empty = h("p", { class: "dcm-empty" });
  /** @type {Picture | null} */
  let picture = null;
  /** @type {Brush | null} */
  let brush = null;

  /** @type {Panel[]} */
  const panels = /** @type {const} */ ([
    ["upper", "below 0: proven robust"],
    ["lower", "above 0: refuted"],
  ]).map(([bound, meaning]) => {
    const top = TOPS[bound];
    const bars = s("g", { class: "dcm-bars" });
    const list = s("g", {
      class: "dcm-panel",
      role: "listbox",
      tabindex: 0,
      transform: `translate(0 ${top})`,
      "aria-multiselectable": "true",
      "aria-orientation": "horizontal",
      "aria-label": `Bars of the ${bound} bound; ${meaning}`,
      "aria-describedby": hintId,
      "data-lm-suppress-shortcuts": "true",
    });
    const title = s("text", { class: "dcm-panel-title", x: MARGIN.left, y: -10, "aria-hidden": "true" });
    title.append(s("tspan", {}, `${bound} bound`), s("tspan", { class: "dcm-meaning", dx: 8 }, meaning));
    list.append(bars);
    svg.append(title, list);
    title.setAttribute("transform", `translate(0 ${top})`);
    return { bound, top, bars, list, cursor: -1, anchor: -1 };
  });
  svg.append(band);

  /** @returns {number[]} */
  const chosen = () => [...(model.get("brushed") ?? [])];

  /** @param {number[]} positions */
  const choose = (positions) => {
    if (String(positions) === String(chosen())) return;
    model.set("brushed", positions);
    model.save_changes();
  };

  /** @param {Brush | null} next */
  const setBrush = (next) => {
    brush = next;
    choose(next && picture ? brushed(picture.values[next.bound], next.low, next.high, next.bound) : []);
    paintBand();
  };

  const none = () => {
    for (const panel of panels) panel.cursor = panel.anchor = -1;
    setBrush(null);
    paintBars();
  };

  /**
   * @param {number} width
   * @returns {Picture | null} null if there are no bounds to draw
   */
  const look = (width) => {
    if (model.get("evaluated_epsilon") === null) return null;
    const values = { upper: readFloat64(model.get("upper")), lower: readFloat64(model.get("lower")) };
    const edges = binEdges([...values.upper, ...values.lower], Number(model.get("bins") ?? 20));
    if (edges.length < 2) return null;
    const ends = /** @type {[number, number]} */ ([edges[0], edges[edges.length - 1]]);
    const x = linear(ends, [MARGIN.left, width - MARGIN.right]);
    return { verdicts: model.get("verdicts"), values, edges, x, width };
  };

  const paintPlot = () => {
    const width = Math.max(240, plot.clientWidth || 600);
    picture = look(width);
    if (!picture) {
      empty.textContent = model.get("busy") ? "Computing the bounds…" : "No bounds to draw.";
      if (empty.parentNode !== plot) plot.replaceChildren(empty);
      return;
    }
    if (svg.parentNode !== plot) plot.replaceChildren(svg);
    setAttributes(svg, { width, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-label": description() });
    paintBars();
  };

  const paintBars = () => {
    if (!picture) return;
    const { edges, values, verdicts, width, x } = picture;
    const marked = new Set(chosen());
    const all = panels.map(({ bound }) => countBins(values[bound], verdicts, edges, bound));
    const few = panels.map(({ bound }) => countBins(values[bound], verdicts, edges, bound, (k) => marked.has(k)));
    const peak = Math.max(1, ...all.flat().map(total));
    const y = linear([0, peak], [PANEL, 0]);
    root.classList.toggle("dcm-brushed", marked.size > 0);
    axes.replaceChildren(bottomAxis(x, HEIGHT - MARGIN.bottom, "bound of the largest margin", width), verticalTitle());
    panels.forEach((panel, row) => {
      const counts = all[row] ?? [];
      axes.append(...gridLines(y, panel.top, width));
      panel.cursor = Math.min(panel.cursor, counts.length - 1);
      const options = counts.map((bin, k) => {
        const place = { x, y, low: edges[k] ?? 0, high: edges[k + 1] ?? 0 };
        const option = binOption(panel.bound, bin, few[row]?.[k] ?? {}, place, fill);
        setAttributes(option, { id: `${hintId}-${panel.bound}-${k}` });
        option.classList.toggle("dcm-cursor", panel.cursor === k);
        return option;
      });
      panel.bars.replaceChildren(
        // What is pressed where no bar is; also the frame that shows the keyboard focus.
        s("rect", { class: "dcm-zone", x: MARGIN.left, y: -4, width: width - MARGIN.left - MARGIN.right, height: PANEL + 8 }),
        ...options,
        // Zero is one of the edges, so it is always on the axis.
        s("line", { class: "dcm-zero", x1: x.at(0), x2: x.at(0), y1: -4, y2: PANEL }),
      );
      const active = options[panel.cursor];
      setAttributes(panel.list, { "aria-activedescendant": active ? active.id : false });
    });
    paintBand();
  };

  const paintBand = () => {
    band.replaceChildren();
    if (!picture || !brush) return;
    const { low, high, bound } = brush;
    const still = String(brushed(picture.values[bound], low, high, bound)) === String(chosen());
    if (!still) {
      brush = null;
      return;
    }
    const [left, right] = ends(brush, picture.x);
    const top = (panels.find((panel) => panel.bound === bound)?.top ?? 0) - 4;
    band.append(s("rect", { class: "dcm-band-area", x: left, y: top, width: right - left, height: PANEL + 4 }));
    for (const at of [left, right]) {
      band.append(
        s("line", { class: "dcm-band-end", x1: at, x2: at, y1: top, y2: top + PANEL + 4 }),
        s("rect", { class: "dcm-band-grip", x: at - 3, y: top + PANEL / 2 - 9, width: 6, height: 22, rx: 3 }),
      );
    }
  };

  const description = () => {
    const values = picture?.values;
    const finite = values ? values.upper.filter((v, k) => drawable(v) && drawable(values.lower[k])).length : 0;
    const counts = countsSentence(countVerdicts(model.get("verdicts")));
    return `Histogram of ${finite} upper and lower margin bounds: ${counts}.`;
  };

  const repaintSelection = () => {
    const positions = chosen();
    const verdicts = /** @type {string[]} */ (model.get("verdicts"));
    const found = countVerdicts(positions.map((k) => verdicts[k] ?? ""));
    const text = `${positions.length} of ${verdicts.length} samples selected: ${countsSentence(found)}`;
    count.textContent = positions.length > 0 ? text : "";
    selection.hidden = positions.length === 0;
    hint.classList.toggle("dcm-hidden", positions.length > 0 || picture === null);
  };

  const repaint = () => {
    const verdicts = /** @type {string[]} */ (model.get("verdicts"));
    const epsilon = Number(model.get("epsilon"));
    const known = model.get("evaluated_epsilon") !== null;
    const evaluated = known ? Number(model.get("evaluated_epsilon")) : NaN;
    const stale = Number.isFinite(evaluated) && evaluated !== epsilon;
    root.classList.toggle("dcm-stale", stale);
    status.textContent = `ε = ${formatNumber(epsilon, ".4f")}`;
    chips.replaceChildren(...legendChips(countVerdicts(verdicts), fill));
    paintPlot();
    repaintSelection();
    const skipped = known
      ? countLeftOut(readFloat64(model.get("upper")), verdicts) + countLeftOut(readFloat64(model.get("lower")), verdicts)
      : 0;
    const lines = [];
    if (stale) lines.push(`The bars still show ε = ${formatNumber(evaluated, ".4f")}.`);
    if (model.get("error")) lines.push("The last request failed; its source shows the error.");
    if (skipped > 0) lines.push(`Not drawn, because not finite: ${skipped} of ${2 * verdicts.length} bounds.`);
    note.replaceChildren(...lines.map((line) => h("div", {}, line)));
    if (!model.get("busy")) live.textContent = description();
  };

  const repaintBrushed = () => {
    paintBars();
    repaintSelection();
    live.textContent = count.textContent || "No samples selected.";
  };

  // Pointer: mouse, pen and finger.
  /** @type {{ panel: Panel, from: number, hold: "new" | "low" | "high" | "all", begun: Brush | null, moved: boolean }} */
  let drag = { panel: /** @type {Panel} */ (panels[0]), from: 0, hold: "new", begun: null, moved: false };

  /** @param {PointerEvent} event */
  const pixel = (event) => event.clientX - svg.getBoundingClientRect().left;

  /**
   * @param {number} one pixel
   * @param {number} two pixel
   * @returns {Brush | null}
   */
  const between = (one, two) => {
    if (!picture) return null;
    const { x, edges } = picture;
    const [left, right] = [Math.min(one, two), Math.max(one, two)];
    const open = { low: x.invert(left), high: x.invert(right) };
    return {
      bound: drag.panel.bound,
      low: open.low <= /** @type {number} */ (edges[0]) ? -Infinity : open.low,
      high: open.high >= /** @type {number} */ (edges[edges.length - 1]) ? Infinity : open.high,
    };
  };

  onDrag(svg, {
    start(event) {
      if (!picture) return false;
      const height = event.clientY - svg.getBoundingClientRect().top;
      const panel = panels.find(({ top }) => height >= top - 6 && height <= top + PANEL + 6);
      const from = pixel(event);
      if (!panel || from < MARGIN.left - GRIP || from > picture.width - MARGIN.right + GRIP) return false;
      panel.list.focus({ preventScroll: true });
      const held = brush?.bound === panel.bound ? brush : null;
      const [left, right] = held ? ends(held, picture.x) : [-Infinity, Infinity];
      const near = [Math.abs(from - left), Math.abs(from - right)];
      /** @type {typeof drag.hold} */
      let hold = "new";
      if (held && Math.min(...near) <= GRIP) hold = near[0] === Math.min(...near) ? "low" : "high";
      else if (held && from > left && from < right) hold = "all";
      drag = { panel, from, hold, begun: held, moved: false };
      return true;
    },
    move(event) {
      const to = pixel(event);
      if (!picture || (!drag.moved && Math.abs(to - drag.from) < 3)) return;
      drag.moved = true;
      const [left, right] = drag.begun ? ends(drag.begun, picture.x) : [0, 0];
      if (drag.hold === "new") setBrush(between(drag.from, to));
      else if (drag.hold === "low") setBrush(between(right, to));
      else if (drag.hold === "high") setBrush(between(left, to));
      else {
        // The interval keeps its width at the ends of the axis.
        const room = [MARGIN.left - left, picture.width - MARGIN.right - right];
        const by = Math.min(Math.max(to - drag.from, room[0] ?? 0), room[1] ?? 0);
        setBrush(between(left + by, right + by));
      }
    },
    end(event) {
      if (drag.moved || event.type === "pointercancel" || !picture) return;
      const at = picture.x.invert(drag.from);
      const bin = binOf(at, picture.edges, drag.panel.bound);
      const filled = countBins(picture.values[drag.panel.bound], picture.verdicts, picture.edges, drag.panel.bound);
      if (total(filled[bin]) > 0) chooseBins(drag.panel, bin, bin);
      else none();
    },
  });

  /**
   * @param {Panel} panel
   * @param {number} anchor
   * @param {number} cursor
   */
  const chooseBins = (panel, anchor, cursor) => {
    if (!picture) return;
    const last = picture.edges.length - 2;
    const [first, end] = [Math.min(anchor, cursor), Math.max(anchor, cursor)];
    panel.anchor = anchor;
    panel.cursor = cursor;
    setBrush({
      bound: panel.bound,
      low: first <= 0 ? -Infinity : /** @type {number} */ (picture.edges[first]),
      high: end >= last ? Infinity : /** @type {number} */ (picture.edges[end + 1]),
    });
    paintBars();
  };

  for (const panel of panels) {
    panel.list.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !picture) return;
      const last = picture.edges.length - 2;
      const zero = picture.edges.indexOf(0);
      const start = panel.bound === "upper" ? zero - 1 : zero;
      const to = { ArrowRight: panel.cursor + 1, ArrowLeft: panel.cursor - 1, Home: 0, End: last }[event.key];
      if (event.key === "Escape") {
        // Without a selection, Escape is the notebook's.
        if (chosen().length === 0 && panel.cursor < 0) return;
        none();
      } else if (to !== undefined) {
        // The first arrow enters beside zero, where the verdict is decided.
        const cursor = panel.cursor < 0 && event.key.startsWith("Arrow") ? start : Math.min(last, Math.max(0, to));
        chooseBins(panel, event.shiftKey && panel.anchor >= 0 ? panel.anchor : cursor, cursor);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
  clear.addEventListener("click", none);
  clear.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    none();
    event.stopPropagation();
  });

  repaint();
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  const stopResizing = onWidth(plot, paintPlot);
  const stop = watch(model, [...TRAITS, "brushed"], (changed) => {
    if (changed.size === 1 && changed.has("brushed")) repaintBrushed();
    else repaint();
  });
  return () => {
    stopResizing();
    stop();
  };
}

/**
 * Pixels of both ends of an interval.
 *
 * @param {Brush} brush
 * @param {Scale} x
 * @returns {[number, number]}
 */
function ends({ low, high }, x) {
  return [x.at(Math.max(low, x.low)), x.at(Math.min(high, x.high))];
}
