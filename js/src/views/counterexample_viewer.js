import { largest, proofText } from "../lib/counterexample.js";
import { CounterexamplePoint } from "../lib/counterexample_point.js";
import { h, icon, setAttributes, watch } from "../lib/dom.js";
import { errorBox } from "../lib/parts.js";
import { show } from "../lib/span.js";
import { VERDICTS } from "../lib/verdicts.js";
import { drawPictures, drawPredictions } from "./counterexample_parts.js";

/** @import { RenderProps } from "../lib/types.js" */

const TRAITS = [
  "sample",
  "label",
  "epsilon",
  "present_epsilon",
  "distance",
  "replayed",
  "replaying",
  "amplification",
  "note",
  "error",
  "_traceback",
  "class_names",
  "feature_names",
  "_kind",
  "_image_shape",
  "_input_shape",
  "_value_range",
  "_clean",
  "_adversarial",
  "_clean_logits",
  "_adversarial_logits",
  "_outputs",
];

const LARGEST_FACTOR = 1000;

/** @param {RenderProps} props */
export function counterexampleViewer({ model, el }) {
  const proof = h("div", { class: "dcm-proof" });
  const errors = h("div");
  const note = h("div", { class: "dcm-note" });
  const pictures = h("div", { class: "dcm-pictures" });
  const predictions = h("div", { class: "dcm-predictions" });
  const range = h("input", {
    type: "range",
    min: 0,
    max: Math.log10(LARGEST_FACTOR),
    step: 0.01,
    "aria-label": "amplification of the perturbation",
    "data-lm-suppress-shortcuts": "true",
  });
  const readout = h("output", { class: "dcm-factor" });
  const fit = h("button", { class: "dcm-button", type: "button", title: "As much as fits the scale" }, "Fit");
  const copy = h("button", { class: "dcm-button", type: "button" }, "Copy as NumPy");
  const copied = h("span", { class: "dcm-copied", role: "status" });
  const code = h("textarea", { class: "dcm-code", readonly: true, rows: 8, "aria-label": "both points as NumPy code" });
  const tools = h(
    "div",
    { class: "dcm-tools" },
    h("span", { class: "dcm-amplify" }, h("span", {}, "perturbation"), range, readout, fit),
    h("span", { class: "dcm-amplify" }, copy, copied),
  );
  const live = h("div", { class: "dcm-hidden", role: "status", "aria-live": "polite" });
  const root = h(
    "div",
    { class: "dcm-root dcm-counterexample" },
    proof,
    errors,
    note,
    pictures,
    tools,
    code,
    predictions,
    live,
  );
  let shownError = "";
  let said = "";

  /** @param {CounterexamplePoint} point */
  const paintProof = (point) => {
    const style = VERDICTS.non_robust;
    root.classList.toggle("dcm-proven", point.proven);
    proof.hidden = !point.proven;
    if (!point.proven) return;
    const heading = point.sample >= 0 ? `Counterexample of sample ${point.sample}` : "Counterexample";
    const text = proofText({
      label: point.className(point.label),
      predicted: point.className(largest(point.outputs)),
      distance: point.distance,
      epsilon: point.epsilon,
    });
    proof.className = "dcm-proof dcm-non_robust";
    proof.replaceChildren(icon(style.icon), h("div", {}, h("b", {}, heading), h("div", {}, text)));
    if (said !== text) live.textContent = `${heading}. ${text}`;
    said = text;
  };

  /** @param {CounterexamplePoint} point */
  const paintNote = (point) => {
    const present = model.get("present_epsilon");
    const lines = [String(model.get("note") ?? "")];
    if (point.unconfirmed && !lines[0]) {
      lines.push("The stored point was not confirmed by the real model, so it proves nothing and is not shown.");
    }
    if (point.proven && typeof present === "number" && present < Math.min(point.distance, point.epsilon)) {
      lines.push(`At the present ε = ${show(present)} this point lies outside of the domain.`);
    }
    if (!point.proven && model.get("replaying")) lines.push("Running the model…");
    note.replaceChildren(...lines.filter(Boolean).map((line) => h("div", {}, line)));
  };

  const paintError = () => {
    const [message, traceback] = [String(model.get("error") ?? ""), String(model.get("_traceback") ?? "")];
    // Left alone when unchanged, so that an opened traceback stays open.
    if (shownError === message + traceback) return;
    shownError = message + traceback;
    errors.replaceChildren(...(message ? [errorBox(message, traceback)] : []));
  };

  /** @param {CounterexamplePoint} point */
  const paintTools = (point) => {
    tools.hidden = !point.proven;
    code.hidden = true;
    copied.textContent = "";
    if (!point.proven) return;
    paintFactor(point);
  };

  /** @param {CounterexamplePoint} point */
  const paintFactor = (point) => {
    const times = point.factor;
    range.value = String(Math.log10(times));
    readout.textContent = `× ${show(Number(times.toPrecision(2)))}`;
    setAttributes(range, { "aria-valuetext": `${show(times)} times` });
    setAttributes(fit, { "aria-pressed": String(model.get("amplification") === null) });
  };

  /** @param {ReadonlySet<string> | null} changed null repaints all */
  const repaint = (changed) => {
    const point = new CounterexamplePoint(model);
    if (changed && changed.size === 1 && changed.has("amplification")) {
      if (point.proven) paintFactor(point);
      pictures.replaceChildren(...drawPictures(point));
      return;
    }
    paintProof(point);
    paintNote(point);
    paintError();
    // Results of other requests leave what somebody copies alone.
    const fresh = !changed || [...changed].some((name) => !["present_epsilon", "replaying", "error"].includes(name));
    if (!fresh) return;
    paintTools(point);
    pictures.replaceChildren(...drawPictures(point));
    predictions.replaceChildren(...drawPredictions(point, String(model.get("_outputs") ?? "")));
  };

  /** @param {number | null} value */
  const amplify = (value) => {
    model.set("amplification", value);
    model.save_changes();
  };
  range.addEventListener("input", () => amplify(Number((10 ** Number(range.value)).toPrecision(2))));
  range.addEventListener("keydown", (event) => event.stopPropagation());
  fit.addEventListener("click", () => amplify(null));
  copy.addEventListener("click", async () => {
    const text = new CounterexamplePoint(model).numpy([...(model.get("_input_shape") ?? [])]);
    try {
      // Not there in pages that are not served securely, and may be forbidden.
      await navigator.clipboard.writeText(text);
      code.hidden = true;
      copied.textContent = "Copied.";
    } catch {
      code.value = text;
      code.hidden = false;
      code.focus();
      code.select();
      copied.textContent = "The browser does not allow it here: copy the selected text.";
    }
  });
  code.addEventListener("keydown", (event) => event.stopPropagation());

  repaint(null);
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  return watch(model, TRAITS, repaint);
}
