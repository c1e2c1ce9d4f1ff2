import { watchConnection } from "../lib/connection.js";
import { h, watch } from "../lib/dom.js";
import { explorerScopes } from "../lib/explorer_scopes.js";
import { formatNumber } from "../lib/numbers.js";
import { errorBox } from "../lib/parts.js";
import { overlay } from "../lib/static_model.js";
import { countVerdicts, countsSentence } from "../lib/verdicts.js";
import { boundHistogram } from "./bound_histogram.js";
import { counterexampleViewer } from "./counterexample_viewer.js";
import { epsilonSlider } from "./epsilon_slider.js";
import { explorerBar } from "./explorer_bar.js";
import { explorerPanels } from "./explorer_panels.js";
import { marginChart } from "./margin_chart.js";
import { robustnessCurve } from "./robustness_curve.js";
import { sampleGrid } from "./sample_grid.js";

/** @import { RenderProps } from "../lib/types.js" */

const LOST =
  "Disconnected: the kernel was restarted or is gone. What was proven stays valid for the model as it was then, " +
  "so the slider, the grid and the charts still answer from it. Run the cell again to go on computing.";
const STATIC = "A page without a kernel: everything shown follows from the proofs and counterexamples stored in it.";

/** @param {RenderProps} props */
export function explorer({ model: outer, el }) {
  // What only concerns this view: whether its kernel answers, and how strongly a change is amplified (null: it fits).
  const model = overlay(outer, { _lost: false, amplification: null });
  const scopes = explorerScopes(model);

  const slider = h("div", { class: "dcm-explorer-slider" });
  const bar = h("div", { class: "dcm-explorer-bar" });
  const banner = h("div", { class: "dcm-banner", role: "status" });
  const errors = h("div");
  const grid = h("div", { class: "dcm-explorer-grid" });
  const charts = h("div", { class: "dcm-explorer-charts" });
  const provenance = h("div", { class: "dcm-provenance" });
  const live = h("div", { class: "dcm-hidden", role: "status", "aria-live": "polite" });
  const root = h(
    "section",
    { class: "dcm-root dcm-explorer", "aria-label": "Robustness explorer" },
    h("div", { class: "dcm-explorer-top" }, slider, bar),
    banner,
    errors,
    h("div", { class: "dcm-explorer-main" }, grid, charts),
    provenance,
    live,
  );
  let shownError = "";

  const paintError = () => {
    const message = String(model.get("error"));
    const traceback = String(model.get("_traceback"));
    // Left alone when unchanged, so that an opened traceback stays open.
    if (shownError === message + traceback) return;
    shownError = message + traceback;
    errors.replaceChildren(...(message ? [errorBox(message, traceback)] : []));
  };

  const paintBanner = () => {
    const text = model.get("_static") ? STATIC : model.get("_lost") ? LOST : "";
    root.classList.toggle("dcm-offline", text !== "");
    banner.classList.toggle("dcm-lost", text === LOST);
    if (banner.textContent !== text) banner.textContent = text;
  };

  const paintFrame = () => {
    const evaluated = model.get("evaluated_epsilon");
    root.dataset.evaluated = evaluated === null ? "" : String(evaluated);
    provenance.textContent = String(model.get("provenance"));
    // A wide page gives the grid no more than its columns fill.
    root.style.setProperty("--dcm-explorer-columns", String(model.get("columns")));
  };

  // One voice: the grid tells the counts; this region only tells how settling goes.
  let wasSettling = Boolean(model.get("settling"));
  const tellProgress = () => {
    const settling = Boolean(model.get("settling"));
    if (settling && !wasSettling) live.textContent = `Settling ${model.get("settle_total")} samples.`;
    if (!settling && wasSettling) live.textContent = String(model.get("settle_note")) || "Settling is over.";
    wasSettling = settling;
  };

  el.classList.add("dcm-host");
  el.replaceChildren(root);
  const cleanups = [
    watchConnection(model, el, (lost) => model.set("_lost", lost)),
    epsilonSlider({ model: scopes.slider, el: slider }),
    explorerBar({ model, el: bar, scopes }),
    sampleGrid({ model: scopes.grid, el: grid }),
    explorerPanels({
      el: charts,
      note: () => pictureNote(),
      panels: [
        { id: "bounds", title: "Bounds", view: boundHistogram, model: scopes.histogram },
        { id: "margins", title: "Margins", view: marginChart, model: scopes.margins },
        { id: "accuracy", title: "Accuracy", view: robustnessCurve, model: scopes.curve },
        { id: "counterexample", title: "Counterexample", view: counterexampleViewer, model: scopes.counterexample },
      ],
    }),
    watch(model, ["error", "_traceback"], paintError),
    watch(model, ["_static", "_lost"], paintBanner),
    watch(model, ["provenance", "columns", "evaluated_epsilon"], paintFrame),
    watch(model, ["settling", "settle_total", "settle_note"], tellProgress),
  ];

  /** What every exported picture says below. */
  const pictureNote = () => {
    const said = countsSentence(countVerdicts(scopes.verdicts.get()));
    return `ε = ${formatNumber(Number(model.get("epsilon")), ".6g")} · ${said} · ${model.get("provenance")}`;
  };

  // Screen readers hear the numbers once, from the grid.
  for (const region of charts.querySelectorAll('[role="status"]')) {
    region.removeAttribute("role");
    region.setAttribute("aria-live", "off");
  }
  paintError();
  paintBanner();
  paintFrame();
  return () => {
    for (const cleanup of cleanups) cleanup();
  };
}
