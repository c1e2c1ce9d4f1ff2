import { readFloat64 } from "../lib/binary.js";
import { h, watch } from "../lib/dom.js";
import { bandArea, lineText, readBounds, show } from "../lib/span.js";
import { CURVE_TRAITS, choice, errorPlace, legendEntry, spanChart, spanEntries } from "../lib/span_chart.js";

/** @import { RenderProps } from "../lib/types.js" */

const TRAITS = [...CURVE_TRAITS, "activation", "activations", "slope", "slopes", "_has_slope"];

/** @param {RenderProps} props */
export function relaxationPlot({ model, el }) {
  const chart = spanChart(model, "z");
  const entries = spanEntries(model);
  const activation = choice(model, "activation", "activations");
  const slope = choice(model, "slope", "slopes");
  const errors = errorPlace(model);
  const lines = h("dl", { class: "dcm-lines dcm-result" });
  const note = h("div", { class: "dcm-note" });
  const live = h("div", { class: "dcm-hidden", role: "status", "aria-live": "polite" });
  const slopeLabel = h("label", {}, "lower slope", slope.select);
  const root = h(
    "div",
    { class: "dcm-root dcm-span-root dcm-relaxation-plot" },
    h(
      "div",
      { class: "dcm-controls" },
      h("span", { class: "dcm-control" }, h("label", {}, "activation", activation.select)),
      h("span", { class: "dcm-control" }, slopeLabel),
      entries.element,
    ),
    entries.message,
    errors.element,
    chart.element,
    lines,
    note,
    live,
  );

  const repaint = () => {
    const { steps, lines: band, first } = readBounds((name) => readFloat64(model.get(name)));
    const name = String(model.get("name"));
    const upper = first ? lineText(...first.upper, "z") : "";
    const lower = first ? lineText(...first.lower, "z") : "";
    const [low, high] = [show(Number(steps.edges[0])), show(Number(steps.edges[1]))];
    const text = first ? `${lower} ≤ ${name}(z) ≤ ${upper} for every z from ${low} to ${high}` : `${name}, without lines`;
    chart.paint(band ?? steps, `${text}.`);
    const usable = Boolean(model.get("_has_slope"));
    activation.paint();
    slope.paint(usable);
    slopeLabel.title = usable
      ? "How the slope of the lower line is chosen where the kink lies inside of the interval"
      : "Only rectifiers such as relu have a choice of the lower slope";
    entries.paint();
    errors.paint();
    /** @type {[HTMLElement, string][]} */
    const rows = [
      [legendEntry("dcm-above", "upper line"), upper],
      [legendEntry("dcm-function", name), `between ${low} and ${high}`],
      [legendEntry("dcm-below", "lower line"), lower],
      [h("span", {}, "area between"), band ? show(bandArea(band)) : ""],
    ];
    lines.replaceChildren(
      ...(first
        ? rows.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)])
        : [h("dt", {}, model.get("busy") ? "Computing the lines…" : "There are no lines to draw.")]),
    );
    note.textContent = model.get("_static")
      ? "A saved picture: to change the interval or the activation, run it in a notebook."
      : "";
    if (!model.get("busy") && first) live.textContent = text;
  };

  repaint();
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  const stops = [chart.follow(repaint), watch(model, TRAITS, repaint)];
  return () => {
    for (const stop of stops) stop();
  };
}
