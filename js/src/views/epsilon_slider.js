import { readFloat64 } from "../lib/binary.js";
import { h, s, setAttributes, uniqueId, watch } from "../lib/dom.js";
import { formatUnit, fractionOf, moveOnScale, nameUnit, readUnit, valueAt } from "../lib/epsilon_scale.js";

/** @import { RenderProps } from "../lib/types.js" */
/** @import { Range, Unit } from "../lib/epsilon_scale.js" */

const NUMBERS = [
  "value",
  "preview",
  "min",
  "max",
  "step",
  "readout_format",
  "continuous_update",
  "description",
  "disabled",
  "tooltip",
  "unit",
  "log",
];
const MARKS = ["marks_certified", "marks_falsified"];

/** The track has this many units, so that marks closer than half a pixel become one. */
const TRACK = 1600;

/** @param {RenderProps} props */
export function epsilonSlider({ model, el }) {
  const rangeId = uniqueId();
  const errorId = uniqueId();
  const marksId = uniqueId();
  const label = h("label", { class: "dcm-label", for: rangeId });
  // `step=any`: the ends of the range must be reachable also where they are not multiples of the step.
  const range = h("input", {
    class: "dcm-range",
    type: "range",
    id: rangeId,
    step: "any",
    "aria-describedby": marksId,
    "data-lm-suppress-shortcuts": "true",
  });
  const certified = s("path", { class: "dcm-mark dcm-robust" });
  const falsified = s("path", { class: "dcm-mark dcm-non_robust" });
  const committed = s("path", { class: "dcm-committed" });
  const marks = s(
    "svg",
    { class: "dcm-marks", viewBox: `0 0 ${TRACK} 30`, preserveAspectRatio: "none", "aria-hidden": "true" },
    certified,
    falsified,
    committed,
  );
  const entry = h("input", {
    class: "dcm-entry",
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": errorId,
  });
  const toggle = h("button", { class: "dcm-unit", type: "button" }, "/255");
  const legend = h("div", { class: "dcm-legend dcm-marks-legend", id: marksId });
  const message = h("div", { class: "dcm-entry-error", id: errorId, role: "alert" });
  const row = h(
    "div",
    { class: "dcm-slider-row" },
    label,
    h("div", { class: "dcm-track" }, marks, range),
    h("div", { class: "dcm-entry-box" }, entry, toggle),
    legend,
    message,
  );
  const root = h("div", { class: "dcm-root dcm-slider" }, row);
  let edited = false;
  let dragging = false;

  /** @returns {Unit} */
  const unit = () => (model.get("unit") === "255" ? "255" : "value");
  const spec = () => String(model.get("readout_format"));
  /** @returns {Range} */
  const scale = () => ({
    min: Number(model.get("min")),
    max: Number(model.get("max")),
    step: Number(model.get("step")),
    unit: unit(),
    log: Boolean(model.get("log")),
  });
  /** @param {number} value */
  const named = (value) => nameUnit(value, spec(), unit());

  /** @param {string} text */
  const showError = (text) => {
    message.textContent = text;
    setAttributes(entry, { "aria-invalid": text === "" ? false : "true" });
  };

  /** @param {number} value where the handle is */
  const showReadout = (value) => {
    entry.value = formatUnit(value, spec(), unit());
    edited = false;
    const waiting = !model.get("continuous_update") && value !== Number(model.get("value"));
    root.classList.toggle("dcm-previewing", waiting);
    setAttributes(range, { "aria-valuetext": named(value) });
    range.style.setProperty("--dcm-part", String(fractionOf(value, scale())));
    setAttributes(committed, { d: waiting ? stroke([Number(model.get("value"))], 9, 21) : "" });
    showError("");
  };

  /**
   * @param {Iterable<number>} values
   * @param {number} top
   * @param {number} bottom
   */
  const stroke = (values, top, bottom) => {
    const at = scale();
    const places = new Set();
    for (const value of values) {
      if (value >= at.min && value <= at.max) places.add(Math.round(TRACK * fractionOf(value, at)));
    }
    return [...places].map((x) => `M${x} ${top}V${bottom}`).join("");
  };

  /** @param {number} value */
  const placeHandle = (value) => {
    const at = scale();
    range.value = String(at.log ? fractionOf(value, at) : value);
  };

  /** @param {number} value */
  const commit = (value) => {
    if (value !== model.get("value") || value !== model.get("preview")) {
      model.set("preview", value);
      model.set("value", value);
      model.save_changes();
    }
    // A dragged handle stays under the pointer.
    if (!dragging) placeHandle(value);
    showReadout(value);
  };

  /** @param {number} value */
  const preview = (value) => {
    if (value !== model.get("preview")) {
      model.set("preview", value);
      model.save_changes();
    }
    showReadout(value);
  };

  const paintMarks = () => {
    const { min, max } = scale();
    const lines = [];
    for (const [path, name, top, bottom, text] of /** @type {const} */ ([
      [certified, "marks_certified", 0, 7, "certified up to here"],
      [falsified, "marks_falsified", 23, 30, "falsified from here"],
    ])) {
      const all = readFloat64(model.get(name));
      const shown = all.filter((value) => value >= min && value <= max);
      setAttributes(path, { d: stroke(shown, top, bottom) });
      if (shown.length === 0) continue;
      const kind = name === "marks_certified" ? "robust" : "non_robust";
      const swatch = s("svg", { class: `dcm-swatch dcm-${kind}`, viewBox: "0 0 14 10", "aria-hidden": "true" });
      // A tick above or below of a piece of the track, as in the slider.
      swatch.append(
        s("path", { class: "dcm-swatch-track", d: kind === "robust" ? "M0 8.5H14" : "M0 1.5H14" }),
        s("path", { class: "dcm-mark", d: kind === "robust" ? "M7 0V6" : "M7 4V10" }),
      );
      lines.push(h("span", { class: "dcm-legend-item" }, swatch, `${text}: ${shown.length} of ${all.length}`));
    }
    legend.replaceChildren(...lines);
    legend.hidden = lines.length === 0;
  };

  /** @param {ReadonlySet<string>} changed */
  const repaintNumbers = (changed) => {
    const at = scale();
    const value = Number(model.get("value"));
    const released = changed.has("value") && !dragging;
    // Whoever sets the value knows nothing of the preview; the kernel, if there is one, does the same.
    if (released && model.get("preview") !== value) model.set("preview", value);
    const description = String(model.get("description"));
    const disabled = Boolean(model.get("disabled"));
    const levels = at.unit === "255";
    label.textContent = description;
    label.hidden = description === "";
    setAttributes(range, at.log ? { min: 0, max: 1 } : { min: at.min, max: at.max });
    setAttributes(range, { "aria-label": description === "" ? "value" : false });
    setAttributes(entry, { "aria-label": `${description || "value"}, typed${levels ? " in units of 1/255" : ""}` });
    setAttributes(toggle, { "aria-pressed": String(levels), "aria-label": "in units of 1/255" });
    toggle.title = levels ? "Shown in units of 1/255; press for the value itself" : "Show and type in units of 1/255";
    entry.title = `${named(at.min)} to ${named(at.max)}; a fraction such as 8/255 is accepted`;
    root.title = model.get("tooltip") ?? "";
    range.disabled = disabled;
    entry.disabled = disabled;
    const shown = dragging ? moved() : Number((released ? null : model.get("preview")) ?? value);
    if (!dragging) placeHandle(shown);
    showReadout(shown);
    if (value < at.min || value > at.max) {
      showError(`${value} is outside of ${named(at.min)} to ${named(at.max)}.`);
    }
  };

  const place = () => {
    const at = scale();
    const raw = Number(range.value);
    return at.log ? raw : (raw - at.min) / (at.max - at.min);
  };
  const moved = () => valueAt(place(), scale());
  range.addEventListener("input", () => {
    if (model.get("continuous_update")) commit(moved());
    else {
      dragging = true;
      preview(moved());
    }
  });
  range.addEventListener("pointerdown", () => {
    dragging = !range.disabled;
  });
  // A drag that ends where it began has no event "change".
  for (const event of ["change", "pointerup", "pointercancel", "blur"]) {
    range.addEventListener(event, () => {
      if (event !== "change" && !dragging) return;
      dragging = false;
      commit(moved());
    });
  }
  range.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = moveOnScale(event.key, Number(model.get("value")), scale());
    if (target === null) return;
    event.preventDefault();
    event.stopPropagation();
    commit(target);
  });

  const submit = () => {
    // The readout is rounded: committing it untouched would round the value.
    if (!edited) return;
    const result = readUnit(entry.value, scale(), spec());
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
  toggle.addEventListener("click", () => {
    model.set("unit", unit() === "255" ? "value" : "255");
    model.save_changes();
  });

  repaintNumbers(new Set());
  paintMarks();
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  const scaled = new Set(["min", "max", "step", "log", ...MARKS]);
  return watch(model, [...NUMBERS, ...MARKS], (changed) => {
    if ([...changed].some((name) => !MARKS.includes(name))) repaintNumbers(changed);
    if ([...changed].some((name) => scaled.has(name))) paintMarks();
  });
}
