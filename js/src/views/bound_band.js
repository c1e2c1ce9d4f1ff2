import { readFloat64 } from "../lib/binary.js";
import { h, uniqueId, watch } from "../lib/dom.js";
import { formatSeconds } from "../lib/numbers.js";
import { bandArea, readBounds, show } from "../lib/span.js";
import { CURVE_TRAITS, choice, errorPlace, legendEntry, spanChart, spanEntries } from "../lib/span_chart.js";

/** @import { RenderProps } from "../lib/types.js" */

const TRAITS = [...CURVE_TRAITS, "n_pieces", "form", "method", "methods"];

// What the slider reaches; more pieces can be typed.
const USUAL = 64;
const MOST = 1024;

/** @param {RenderProps} props */
export function boundBand({ model, el }) {
  const group = uniqueId();
  const chart = spanChart(model, "x");
  const entries = spanEntries(model);
  const method = choice(model, "method", "methods");
  const errors = errorPlace(model);
  const pieces = h("input", {
    type: "range",
    min: 1,
    max: USUAL,
    step: 1,
    "aria-label": "pieces",
    "data-lm-suppress-shortcuts": "true",
  });
  const count = h("input", {
    class: "dcm-entry dcm-count",
    type: "number",
    min: 1,
    max: MOST,
    step: 1,
    "aria-label": "pieces, typed",
  });
  const forms = /** @type {const} */ ([
    ["affine", "lines"],
    ["step", "steps"],
  ]).map(([value, text]) => {
    const radio = h("input", { type: "radio", name: group, value });
    radio.addEventListener("change", () => assign("form", value));
    return { radio, label: h("label", {}, radio, text) };
  });
  const result = h("div", { class: "dcm-result" });
  const note = h("div", { class: "dcm-note" });
  const live = h("div", { class: "dcm-hidden", role: "status", "aria-live": "polite" });
  const legend = h("div", { class: "dcm-legend" });
  const root = h(
    "div",
    { class: "dcm-root dcm-span-root dcm-bound-band" },
    h(
      "div",
      { class: "dcm-controls" },
      h("span", { class: "dcm-control" }, "pieces", pieces, count),
      h(
        "span",
        { class: "dcm-control", role: "radiogroup", "aria-label": "form of the band" },
        ...forms.map((form) => form.label),
      ),
      h("span", { class: "dcm-control" }, h("label", {}, "method", method.select)),
      entries.element,
    ),
    entries.message,
    errors.element,
    chart.element,
    legend,
    result,
    note,
    live,
  );

  /**
   * @param {string} name
   * @param {unknown} value
   */
  const assign = (name, value) => {
    if (model.get(name) === value) return;
    model.set(name, value);
    model.save_changes();
  };

  const paintControls = () => {
    const fixed = Boolean(model.get("_static"));
    const n = Number(model.get("n_pieces"));
    pieces.value = String(n);
    if (count !== count.ownerDocument.activeElement || !count.validity.badInput) count.value = String(n);
    pieces.disabled = count.disabled = fixed;
    for (const { radio } of forms) radio.checked = radio.value === model.get("form");
    method.paint();
    entries.paint();
  };

  const repaint = () => {
    const { steps, lines } = readBounds((name) => readFloat64(model.get(name)));
    const wanted = model.get("form") === "affine";
    const band = (wanted && lines) || steps;
    const name = String(model.get("name"));
    const { edges } = steps;
    const [low, high] = [Number(edges[0]), Number(edges[edges.length - 1])];
    const known = edges.length > 1;
    const proven = known ? `${show(Math.min(...steps.lower))} ≤ ${name} ≤ ${show(Math.max(...steps.upper))}` : "";
    const where = known ? `for every x from ${show(low)} to ${show(high)}` : "";
    const cut = chart.paint(band, known ? `${name} inside its certified band: ${proven} ${where}.` : `${name}, without bounds.`);
    paintControls();
    errors.paint();
    legend.replaceChildren(
      legendEntry("dcm-function", name),
      legendEntry("dcm-above", "certified upper bound"),
      legendEntry("dcm-below", "certified lower bound"),
    );
    const gap = show(bandArea(band) / (high - low));
    const facts = [h("b", {}, proven), where, `mean height of the band ${gap}`];
    if (known) facts.push(`${steps.lower.length / 2} pieces`, `computed in ${formatSeconds(Number(model.get("elapsed")))}`);
    result.replaceChildren(
      ...(known ? facts : [model.get("busy") ? "Computing the band…" : "There is no band to draw."]).map((fact) =>
        h("span", { class: "dcm-fact" }, fact),
      ),
    );
    const remarks = [];
    if (wanted && known && !lines) remarks.push("Interval arithmetic computes no lines, so the band has steps.");
    if (cut) remarks.push("The band leaves the picture: it is much higher than the function.");
    if (model.get("_static")) remarks.push("A saved picture: to change the interval, the pieces or the method, run it in a notebook.");
    note.replaceChildren(...remarks.map((line) => h("div", {}, line)));
    if (!model.get("busy") && known) live.textContent = `${proven} ${where}`;
  };

  pieces.addEventListener("input", () => assign("n_pieces", Number(pieces.value)));
  count.addEventListener("change", () => {
    // The nearest number that is allowed; what is no number changes nothing.
    const n = Math.min(MOST, Math.max(1, Math.round(count.valueAsNumber)));
    if (Number.isFinite(n)) assign("n_pieces", n);
    count.value = String(model.get("n_pieces"));
  });
  for (const input of [pieces, count]) input.addEventListener("keydown", (event) => event.stopPropagation());

  repaint();
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  const stops = [chart.follow(repaint), watch(model, TRAITS, repaint)];
  return () => {
    for (const stop of stops) stop();
  };
}
