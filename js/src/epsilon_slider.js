import { h, setAttributes, uniqueId, watch } from "./lib/dom.js";
import { formatNumber, moveByKey, readEntry, snap } from "./lib/numbers.js";

/** @import { RenderProps } from "./lib/types.js" */

const TRAITS = [
  "value",
  "min",
  "max",
  "step",
  "readout_format",
  "continuous_update",
  "description",
  "disabled",
  "tooltip",
];

/** @param {RenderProps} props */
function render({ model, el }) {
  const rangeId = uniqueId();
  const errorId = uniqueId();
  const label = h("label", { class: "dcm-label", for: rangeId });
  // `step=any`: the ends of the range must be reachable also where they are not multiples of the step.
  const range = h("input", {
    class: "dcm-range",
    type: "range",
    id: rangeId,
    step: "any",
    "data-lm-suppress-shortcuts": "true",
  });
  const entry = h("input", {
    class: "dcm-entry",
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": errorId,
  });
  const message = h("div", { class: "dcm-entry-error", id: errorId, role: "alert" });
  const root = h("div", { class: "dcm-root dcm-slider" }, label, range, entry, message);
  let edited = false;

  /** @param {number} value */
  const format = (value) => formatNumber(value, model.get("readout_format"));
  const limits = () => ({
    min: Number(model.get("min")),
    max: Number(model.get("max")),
    step: Number(model.get("step")),
  });

  /** @param {string} text */
  const showError = (text) => {
    message.textContent = text;
    setAttributes(entry, { "aria-invalid": text === "" ? false : "true" });
  };

  /** @param {number} value */
  const showReadout = (value) => {
    entry.value = format(value);
    edited = false;
    setAttributes(range, { "aria-valuetext": format(value) });
    showError("");
  };

  /** @param {number} value */
  const commit = (value) => {
    if (value !== model.get("value")) {
      model.set("value", value);
      model.save_changes();
    }
    range.value = String(value);
    showReadout(value);
  };

  const repaint = () => {
    const { min, max } = limits();
    const value = Number(model.get("value"));
    const description = String(model.get("description"));
    const disabled = Boolean(model.get("disabled"));
    label.textContent = description;
    label.hidden = description === "";
    setAttributes(range, { min, max });
    if (description === "") setAttributes(range, { "aria-label": "value" });
    else range.removeAttribute("aria-label");
    setAttributes(entry, { "aria-label": `${description || "value"}, typed` });
    range.value = String(value);
    range.disabled = disabled;
    entry.disabled = disabled;
    entry.title = `${format(min)} to ${format(max)}; a fraction such as 8/255 is accepted`;
    root.title = model.get("tooltip") ?? "";
    showReadout(value);
    if (value < min || value > max) {
      showError(`${value} is outside of ${format(min)} to ${format(max)}.`);
    }
  };

  const moved = () => {
    const { min, max, step } = limits();
    return snap(Number(range.value), min, max, step);
  };
  range.addEventListener("input", () => {
    if (model.get("continuous_update")) commit(moved());
    else showReadout(moved());
  });
  range.addEventListener("change", () => commit(moved()));
  range.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = moveByKey(event.key, Number(model.get("value")), limits());
    if (target === null) return;
    event.preventDefault();
    event.stopPropagation();
    commit(target);
  });

  const submit = () => {
    // The readout is rounded: committing it untouched would round the value.
    if (!edited) return;
    const { min, max } = limits();
    const result = readEntry(entry.value, min, max, format);
    if ("error" in result) showError(result.error);
    else commit(result.value);
  };
  entry.addEventListener("input", () => {
    edited = true;
  });
  entry.addEventListener("change", submit);
  entry.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") submit();
    else if (event.key === "Escape") showReadout(Number(model.get("value")));
  });

  repaint();
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  return watch(model, TRAITS, repaint);
}

export default { render };
