import { h, setAttributes, uniqueId, watch } from "../lib/dom.js";
import { parseNumber } from "../lib/numbers.js";
import { countVerdicts } from "../lib/verdicts.js";

/** @import { Model } from "../lib/types.js" */
/** @import { explorerScopes } from "../lib/explorer_scopes.js" */

const TRAITS = [
  "method",
  "methods",
  "n_sub_boxes",
  "finetune",
  "settling",
  "settle_done",
  "settle_total",
  "settle_note",
  "settle_timeout",
  "refining",
  "refine",
  "busy",
  "epsilon",
  "_certified",
  "_falsified",
  "_tried",
  "_misclassified",
  "_refined",
  "_static",
  "_lost",
];

/**
 * A number that is typed; what is not one in the range changes nothing and says why.
 *
 * @param {Model} model
 * @param {string} name of the trait
 * @param {string} text before the field
 * @param {{ whole: boolean, unit?: string, title: string }} kind a whole number from 1 on, or any above 0
 */
function numberField(model, name, text, { whole, unit = "", title }) {
  const id = uniqueId();
  const input = h("input", {
    class: "dcm-field",
    type: "text",
    inputmode: whole ? "numeric" : "decimal",
    autocomplete: "off",
    "aria-describedby": id,
  });
  const problem = h("span", { class: "dcm-field-error", id, role: "alert" });
  const element = h("label", { class: "dcm-labelled", title }, h("span", {}, text), input, unit, problem);

  const paint = () => {
    if (document.activeElement === input && input.getAttribute("aria-invalid")) return;
    input.value = String(model.get(name));
    problem.textContent = "";
    setAttributes(input, { "aria-invalid": false });
  };
  const submit = () => {
    const value = parseNumber(input.value);
    if (value === null || value <= 0 || (whole && !Number.isInteger(value))) {
      const received = input.value.trim() === "" ? "nothing" : `“${input.value.trim()}”`;
      problem.textContent = `${whole ? "A whole number from 1 on" : "A number above 0"}. Received ${received}.`;
      setAttributes(input, { "aria-invalid": "true" });
      return;
    }
    setAttributes(input, { "aria-invalid": false });
    if (value !== model.get(name)) {
      model.set(name, value);
      model.save_changes();
    }
    paint();
  };
  input.addEventListener("change", submit);
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") submit();
    else if (event.key === "Escape") {
      setAttributes(input, { "aria-invalid": false });
      paint();
    }
  });
  return { element, paint };
}

/**
 * @param {Model} model
 * @param {string} name of a trait that is true or false
 * @param {string} text
 * @param {string} title
 */
function checkField(model, name, text, title) {
  const input = h("input", { type: "checkbox", class: "dcm-check" });
  const element = h("label", { class: "dcm-labelled", title }, input, h("span", {}, text));
  input.addEventListener("change", () => {
    model.set(name, input.checked);
    model.save_changes();
  });
  const paint = () => {
    input.checked = Boolean(model.get(name));
  };
  return { element, paint, input };
}

/**
 * How much effort goes into the bounds, and the complete verifier for what they leave open.
 *
 * @param {{ model: Model, el: HTMLElement, scopes: ReturnType<typeof explorerScopes> }} props
 */
export function explorerBar({ model, el, scopes }) {
  const group = uniqueId();
  const methods = h("div", { class: "dcm-methods", role: "radiogroup", "aria-label": "Method, from fast to tight" });
  const boxes = numberField(model, "n_sub_boxes", "sub-boxes", {
    whole: true,
    title: "Number of pieces into which each domain is split: more are tighter and slower",
  });
  const finetune = checkField(model, "finetune", "finetune", "Optimise the slopes of the relaxations: tighter and slower");
  const timeout = numberField(model, "settle_timeout", "at most", {
    whole: false,
    unit: "s each",
    title: "Seconds that settling may spend on one sample",
  });
  const refine = checkField(
    model,
    "refine",
    "refine radii",
    "Narrow down the radius of every sample in the background, so that the slider answers without the kernel",
  );
  const settle = h("button", { class: "dcm-button dcm-settle", type: "button" });
  const cancel = h("button", { class: "dcm-button dcm-cancel", type: "button" }, "Cancel");
  const progress = h("progress", { class: "dcm-progress", "aria-label": "Samples settled" });
  const note = h("span", { class: "dcm-settle-note" });
  const fields = h(
    "fieldset",
    { class: "dcm-effort" },
    h("legend", { class: "dcm-hidden" }, "Effort"),
    h("span", { class: "dcm-end", "aria-hidden": "true" }, "fast"),
    methods,
    h("span", { class: "dcm-end", "aria-hidden": "true" }, "tight"),
    boxes.element,
    finetune.element,
    h("span", { class: "dcm-refine" }, refine.element, h("span", { class: "dcm-dot", "aria-hidden": "true" })),
  );
  const settling = h(
    "div",
    { class: "dcm-settling" },
    settle,
    cancel,
    timeout.element,
    progress,
    note,
  );
  el.replaceChildren(fields, settling);
  let shownMethods = "";

  const paintMethods = () => {
    const names = /** @type {string[]} */ (model.get("methods"));
    if (shownMethods !== JSON.stringify(names)) {
      shownMethods = JSON.stringify(names);
      methods.replaceChildren(
        ...names.map((name) =>
          h(
            "label",
            { class: "dcm-method" },
            h("input", { type: "radio", name: group, value: name, class: "dcm-method-input" }),
            h("span", {}, name),
          ),
        ),
      );
    }
    for (const input of methods.querySelectorAll("input")) input.checked = input.value === model.get("method");
  };

  const paint = () => {
    const offline = scopes.offline.get();
    const running = Boolean(model.get("settling")) && !offline;
    const counts = countVerdicts(scopes.verdicts.get());
    const open = counts.unknown;
    const [done, total] = [Number(model.get("settle_done")), Number(model.get("settle_total"))];
    // Without a kernel for good there is no effort to choose; the provenance says which one it was.
    el.hidden = Boolean(model.get("_static"));
    paintMethods();
    boxes.paint();
    finetune.paint();
    timeout.paint();
    refine.paint();
    fields.disabled = offline;
    fields.classList.toggle("dcm-refining", Boolean(model.get("refining")) && !offline);
    refine.input.setAttribute("aria-description", model.get("refining") && !offline ? "running" : "");

    settling.hidden = offline;
    settle.hidden = running;
    timeout.element.hidden = running;
    cancel.hidden = progress.hidden = !running;
    settle.disabled = open === 0;
    settle.textContent = open === 0 ? "Nothing to settle" : `Settle ${open} undecided`;
    settle.title =
      open === 0
        ? "No sample is undecided at this ε"
        : "Decide the open samples by complete verification: exact, and it may take long";
    if (total > 0) setAttributes(progress, { max: total, value: Math.min(done, total) });
    else progress.removeAttribute("value");
    note.textContent = String(model.get("settle_note"));
  };

  methods.addEventListener("change", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    model.set("method", input.value);
    model.save_changes();
  });
  // The keys that move the choice are not for the notebook around.
  methods.addEventListener("keydown", (event) => {
    if (event.key.startsWith("Arrow")) event.stopPropagation();
  });
  settle.addEventListener("click", () => model.send({ type: "settle" }));
  cancel.addEventListener("click", () => model.send({ type: "cancel" }));

  paint();
  return watch(model, TRAITS, paint);
}
