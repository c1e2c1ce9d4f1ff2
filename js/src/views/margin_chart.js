import { readFloat64 } from "../lib/binary.js";
import { bottomAxis, linear, onWidth } from "../lib/chart.js";
import { watchConnection } from "../lib/connection.js";
import { h, icon, s, setAttributes, watch } from "../lib/dom.js";
import { axisRange, classMargins, orderClasses } from "../lib/margins.js";
import { formatNumber } from "../lib/numbers.js";
import { errorBox } from "../lib/parts.js";
import { moveSelection } from "../lib/selection.js";
import { seriesSwatch } from "../lib/series.js";
import { VERDICTS } from "../lib/verdicts.js";
import { beside, capital, interval, paintInterval, shorten, signs } from "./margin_parts.js";

/** @import { ClassMargin, Margins, Standing } from "../lib/margins.js" */
/** @import { RenderProps, VerdictName } from "../lib/types.js" */
/** @import { Scale } from "../lib/chart.js" */

const TRAITS = [
  "methods",
  "order",
  "label",
  "sample",
  "verdict",
  "class_names",
  "epsilon",
  "evaluated_epsilon",
  "busy",
  "error",
  "_traceback",
  "_lower",
  "_upper",
  "_static",
];

/** With more classes, only those that come first are drawn until all are asked for. */
const MANY = 20;

const LANE = 10;
const TOP = 20;
const BOTTOM = 42;

/** What is said of a class, with the sign and the colour of the verdict that it speaks for. */
const STANDINGS = /** @type {Record<Standing, { verdict: VerdictName | null, words: string, meaning: string }>} */ ({
  label: { verdict: null, words: "label", meaning: "this is the label itself" },
  excluded: { verdict: "robust", words: "never wins", meaning: "proven: never above the label" },
  wins: { verdict: "non_robust", words: "always wins", meaning: "proven: always above the label" },
  open: { verdict: "unknown", words: "may win", meaning: "undecided: the bounds allow both" },
  unbounded: { verdict: "unknown", words: "not known", meaning: "nothing is known" },
});

/** @param {RenderProps} props */
export function marginChart({ model, el }) {
  const heading = h("span", { class: "dcm-heading" });
  const chip = h("span", { class: "dcm-chips" });
  const progress = h("span", { class: "dcm-working" });
  const orders = /** @type {const} */ ([
    ["index", "by class"],
    ["upper", "by upper bound"],
  ]).map(([order, text]) =>
    h("button", { class: "dcm-order", type: "button", "data-order": order, "data-lm-suppress-shortcuts": true }, text),
  );
  const order = h("span", { class: "dcm-orders", role: "group", "aria-label": "Order of the classes" }, ...orders);
  const errors = h("div");
  const plot = h("div", { class: "dcm-plot", "data-lm-suppress-shortcuts": true });
  const more = h("button", { class: "dcm-more", type: "button" });
  const readout = h("div", { class: "dcm-readout" });
  const legend = h("div", { class: "dcm-legend" });
  const note = h("div", { class: "dcm-note" });
  const live = h("div", { class: "dcm-hidden", role: "status", "aria-live": "polite" });
  const root = h(
    "div",
    { class: "dcm-root dcm-series dcm-margins" },
    h("div", { class: "dcm-bar" }, heading, chip, progress, order),
    errors,
    plot,
    more,
    readout,
    legend,
    note,
    live,
  );

  /** Rows by class; they survive a repaint, and by that keep the focus. @type {Map<number, SVGGElement>} */
  const rows = new Map();
  /** @type {ClassMargin[]} */
  let shown = [];
  let current = -1;
  let all = false;
  let lost = false;
  // Of a model without the trait: the explorer shows this view among others.
  let ownOrder = "index";

  const orderOf = () => String(model.get("order") ?? ownOrder);
  const working = () => Boolean(model.get("busy")) && !model.get("_static") && !lost;
  const methods = () => /** @type {string[]} */ (model.get("methods") ?? []);
  const label = () => Number(model.get("label"));

  /** @param {number} index */
  const nameOf = (index) => {
    const names = /** @type {string[]} */ (model.get("class_names") ?? []);
    return names[index] ?? String(index);
  };

  /** @returns {Margins | null} null if there are none */
  const read = () => {
    const [lower, upper] = [readFloat64(model.get("_lower")), readFloat64(model.get("_upper"))];
    const count = methods().length;
    const classes = lower.length / count;
    if (lower.length === 0 || lower.length !== upper.length || !Number.isInteger(classes)) return null;
    if (label() < 0 || label() >= classes) return null;
    return { methods: count, classes, label: label(), lower, upper };
  };

  /** Whether the bounds hold at the present epsilon, and at which they were found. */
  const validity = () => {
    const epsilon = model.get("epsilon");
    const evaluated = model.get("evaluated_epsilon");
    const known = evaluated === undefined ? epsilon : evaluated;
    const other = known !== null && epsilon !== null && known !== epsilon;
    // What holds on a ball holds on the smaller ones inside of it.
    return { known, other, holds: !other || Number(epsilon) < Number(known) };
  };

  /**
   * @param {Margins} margins
   * @param {ClassMargin} one
   */
  const describe = (margins, one) => {
    if (one.standing === "label") return `Class ${nameOf(one.index)} is the label: its margin is zero.`;
    const parts = methods().map((method, k) => {
      const at = k * margins.classes + one.index;
      return `${method} ${interval(Number(margins.lower[at]), Number(margins.upper[at]))}`;
    });
    const meaning = validity().holds ? ` ${capital(STANDINGS[one.standing].meaning)}.` : " Out of date.";
    return `Class ${nameOf(one.index)} minus label ${nameOf(label())}: ${parts.join("; ")}.${meaning}`;
  };

  /**
   * @param {Margins} margins
   * @param {ClassMargin} one
   * @param {{ x: Scale, left: number, width: number, height: number, focusable: boolean }} place
   */
  const paintRow = (margins, one, { x, left, width, height, focusable }) => {
    const row = rows.get(one.index) ?? s("g", { class: "dcm-row", role: "listitem", "data-class": one.index });
    rows.set(one.index, row);
    const isLabel = one.standing === "label";
    const text = describe(margins, one);
    setAttributes(row, { "aria-label": text, tabindex: focusable ? 0 : -1, "data-standing": one.standing });
    row.classList.toggle("dcm-is-label", isLabel);
    const middle = height / 2;
    row.replaceChildren(
      s("title", {}, text),
      s("rect", { class: "dcm-row-ground", x: 0, y: 0, width, height, rx: 3 }),
      s("text", { class: "dcm-class", x: left - 10, y: middle + 4, "text-anchor": "end" }, shorten(nameOf(one.index), left - 14)),
    );
    if (isLabel) {
      row.append(
        s("path", { class: "dcm-label-mark", d: `M${x.at(0)} ${middle - 6}l6 6l-6 6l-6 -6Z` }),
        s("text", { class: "dcm-label-text", ...beside(x, width, 12), y: middle + 4 }, "label"),
      );
      return row;
    }
    const lanes = methods().length;
    for (let k = 0; k < lanes; k += 1) {
      const at = k * margins.classes + one.index;
      const y = middle + (k - (lanes - 1) / 2) * LANE;
      row.append(paintInterval(k, Number(margins.lower[at]), Number(margins.upper[at]), x, y));
    }
    const { verdict, words } = STANDINGS[one.standing];
    if (verdict && validity().holds) {
      const sign = s(
        "g",
        { class: `dcm-sign dcm-${verdict}`, transform: `translate(${width - 19} ${middle - 7}) scale(0.875)` },
        s("title", {}, words),
        s("path", { d: VERDICTS[verdict].icon }),
      );
      row.append(sign);
    }
    return row;
  };

  const paintPlot = () => {
    const margins = read();
    if (margins === null) {
      shown = [];
      rows.clear();
      plot.replaceChildren(h("p", { class: "dcm-empty" }, emptyText()));
      more.hidden = true;
      return;
    }
    const inner = plot.clientWidth || 600;
    const width = Math.max(240, inner);
    const ordered = orderClasses(classMargins(margins), orderOf());
    shown = all ? ordered : ordered.slice(0, MANY);
    more.hidden = margins.classes <= MANY;
    more.textContent = all ? `Show the first ${MANY} classes only` : `Show all ${margins.classes} classes`;
    const longest = Math.max(...shown.map((one) => nameOf(one.index).length));
    const left = Math.min(Math.max(38, 7 * longest + 18), 0.32 * width);
    const height = Math.max(26, LANE * methods().length + 10);
    const base = TOP + shown.length * height;
    const [low, high] = axisRange(margins);
    const x = linear([low, high], [left, width - 34]);
    const back = s("g", { "aria-hidden": "true" });
    back.append(...signs(x, width, left), bottomAxis(x, base, `logit of the class − logit of ${shorten(nameOf(label()), 0.5 * width - 140)}`, width));
    for (const tick of back.querySelectorAll(".dcm-tick")) {
      const at = Number(tick.getAttribute("x"));
      back.prepend(s("line", { class: "dcm-grid-line", x1: at, x2: at, y1: TOP - 4, y2: base }));
    }
    back.append(s("line", { class: "dcm-zero", x1: x.at(0), x2: x.at(0), y1: TOP - 6, y2: base }));
    const focused = /** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement;
    const list = s("g", { role: "list", "aria-label": "Bounds of each class" });
    if (!shown.some((one) => one.index === current)) current = -1;
    const tabStop = current < 0 ? shown[0]?.index : current;
    shown.forEach((one, k) => {
      const row = paintRow(margins, one, { x, left, width, height, focusable: one.index === tabStop });
      row.setAttribute("transform", `translate(0 ${TOP + k * height})`);
      list.append(row);
    });
    const size = { width, height: base + BOTTOM, viewBox: `0 0 ${width} ${base + BOTTOM}` };
    plot.replaceChildren(s("svg", { class: "dcm-svg", ...size, role: "group", "aria-label": summary(margins) }, back, list));
    // A row that was moved in the document lost its focus by that.
    if (focused instanceof SVGGElement && rows.get(current) === focused) focused.focus({ preventScroll: true });
  };

  const emptyText = () => {
    if (model.get("error")) return "No bounds.";
    if (working()) return "Computing the bounds…";
    return Number(model.get("sample")) < 0 && label() < 0 ? "Select a sample to see its margins." : "No bounds yet.";
  };

  /** @param {Margins} margins */
  const summary = (margins) => {
    const standings = classMargins(margins).map((one) => one.standing);
    const count = (/** @type {Standing} */ standing) => standings.filter((one) => one === standing).length;
    const parts = [
      `${count("excluded")} never win`,
      `${count("wins")} always win`,
      `${count("open") + count("unbounded")} may win`,
    ];
    return `Margins of ${margins.classes - 1} classes against label ${nameOf(label())}: ${parts.join(", ")}.`;
  };

  const paintReadout = () => {
    const margins = read();
    const one = shown.find(({ index }) => index === current);
    const hint = shown.length > 0 ? "Point at a class, or move with the arrow keys, to read its bounds." : "";
    readout.textContent = margins && one ? describe(margins, one) : hint;
    for (const [index, row] of rows) row.classList.toggle("dcm-current", index === current);
  };

  const paintLegend = () => {
    const standings = shown.map((one) => one.standing);
    const used = /** @type {Standing[]} */ (["excluded", "wins", "open"]).filter((name) => standings.includes(name));
    legend.replaceChildren(
      ...methods().map((name, k) => h("span", { class: "dcm-key" }, seriesSwatch(k), ` ${name}`)),
      ...(validity().holds ? used : []).map((name) => {
        const { verdict, words } = STANDINGS[name];
        const sign = icon(VERDICTS[/** @type {VerdictName} */ (verdict)].icon);
        return h("span", { class: `dcm-key dcm-${verdict}`, title: STANDINGS[name].meaning }, sign, ` ${words}`);
      }),
    );
    legend.hidden = shown.length === 0;
  };

  const repaint = () => {
    const { known, other, holds } = validity();
    const epsilon = model.get("epsilon");
    const sample = Number(model.get("sample"));
    const parts = [
      sample >= 0 ? `sample ${sample}` : "",
      label() >= 0 ? `label ${nameOf(label())}` : "",
      typeof epsilon === "number" ? `ε = ${formatNumber(epsilon, ".4f")}` : "",
    ].filter(Boolean);
    heading.textContent = label() >= 0 ? parts.join(", ") : "";
    const verdict = VERDICTS[/** @type {VerdictName} */ (model.get("verdict"))];
    chip.replaceChildren();
    if (verdict && label() >= 0) {
      const attributes = { class: `dcm-chip dcm-${model.get("verdict")}`, title: verdict.meaning };
      chip.append(h("span", attributes, icon(verdict.icon), h("b", {}, verdict.title)));
    }
    progress.textContent = working() && read() ? "computing…" : "";
    for (const button of orders) {
      button.setAttribute("aria-pressed", String(button.dataset.order === orderOf()));
    }
    root.classList.toggle("dcm-stale", !holds);
    const error = String(model.get("error") ?? "");
    errors.replaceChildren(...(error ? [errorBox(error, String(model.get("_traceback") ?? ""))] : []));
    paintPlot();
    order.hidden = shown.length === 0;
    paintReadout();
    paintLegend();
    const lines = [];
    if (other && read()) {
      const at = formatNumber(Number(known), ".4f");
      lines.push(
        holds
          ? `Bounds found at ε = ${at}; they hold for this smaller ε, too.`
          : `The bounds still show ε = ${at} and say nothing of the present ε.`,
      );
    }
    if (lost && !model.get("_static")) lines.push("Disconnected from the kernel: no new bounds are computed.");
    note.replaceChildren(...lines.map((line) => h("div", {}, line)));
    const margins = read();
    if (!working() && margins && holds && live.textContent !== summary(margins)) live.textContent = summary(margins);
  };

  /** @param {number} index */
  const choose = (index) => {
    if (index === current) return;
    current = index;
    for (const [one, row] of rows) row.setAttribute("tabindex", one === index ? "0" : "-1");
    paintReadout();
  };

  /** @param {Event} event */
  const rowOf = (event) => {
    const row = /** @type {Element} */ (event.target).closest(".dcm-row");
    return row ? Number(row.getAttribute("data-class")) : -1;
  };
  plot.addEventListener("pointerover", (event) => {
    if (rowOf(event) >= 0) choose(rowOf(event));
  });
  plot.addEventListener("pointerdown", (event) => {
    if (rowOf(event) >= 0) choose(rowOf(event));
  });
  plot.addEventListener("focusin", (event) => {
    if (rowOf(event) >= 0) choose(rowOf(event));
  });
  plot.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || rowOf(event) < 0) return;
    const at = shown.findIndex((one) => one.index === rowOf(event));
    const target = moveSelection(event.key, at, shown.length, 1);
    const next = target === null ? undefined : shown[target];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    rows.get(next.index)?.focus();
  });
  order.addEventListener("click", (event) => {
    const wanted = /** @type {HTMLElement} */ (event.target).dataset.order;
    if (!wanted || wanted === orderOf()) return;
    if (model.get("order") === undefined) {
      ownOrder = wanted;
      repaint();
      return;
    }
    model.set("order", wanted);
    model.save_changes();
  });
  more.addEventListener("click", () => {
    all = !all;
    repaint();
  });

  repaint();
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  // The first painting happened outside of the page, where nothing has a width yet.
  const stopWidth = onWidth(plot, repaint);
  const stop = watch(model, TRAITS, repaint);
  const stopLooking = watchConnection(model, el, (now) => {
    if (now === lost) return;
    lost = now;
    repaint();
  });
  return () => {
    stopWidth();
    stopLooking();
    stop();
  };
}
