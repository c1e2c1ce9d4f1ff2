import { h, icon, s, setAttributes } from "../lib/dom.js";
import { formatNumber, formatSeconds } from "../lib/numbers.js";
import { SORTS } from "../lib/order.js";
import { VERDICTS, VERDICT_NAMES, countsSentence } from "../lib/verdicts.js";

/** @import { GridData } from "../lib/grid_data.js" */
/** @import { Model } from "../lib/types.js" */

const LARGEST_SEED = 2 ** 31 - 1;

/**
 * @param {Model} model
 * @param {string} name of a trait
 * @param {unknown} value
 */
export function assign(model, name, value) {
  model.set(name, value);
  model.save_changes();
}

/**
 * @param {string} classes
 * @param {string} title
 * @param {() => void} press
 * @param {...(Node | string)} children
 */
function makeButton(classes, title, press, ...children) {
  const button = h("button", { class: classes, type: "button", title }, ...children);
  button.addEventListener("click", press);
  return button;
}

/** @param {number} count */
const grouped = (count) => count.toLocaleString("en");

/**
 * Above a grid: what is shown, of which verdicts, in which order, and the draws.
 *
 * @param {Model} model
 * @returns {{ element: HTMLElement, live: HTMLElement, paint: (data: GridData) => void }} `live` tells
 *   the counts to screen readers
 */
export function sampleBar(model) {
  const status = statusLine(model);
  const filter = filterChips(model);
  const order = orderControls(model);
  const draws = drawControls(model);
  const live = h("div", { class: "dcm-hidden", role: "status", "aria-live": "polite" });
  const parts = [status, filter, draws, order];
  return {
    element: h("div", { class: "dcm-bar" }, ...parts.map((part) => part.element)),
    live,
    paint(data) {
      for (const part of parts) part.paint(data);
      if (data.isBusy) return;
      const some = data.order.length < data.indices.length ? ` Showing ${data.order.length} of ${data.indices.length}.` : "";
      const text = `At epsilon ${formatNumber(data.epsilon, ".4f")}: ${countsSentence(data.counts)}.${some}`;
      if (live.textContent !== text) live.textContent = text;
    },
  };
}

/** @param {Model} model */
function statusLine(model) {
  const [epsilon, time] = [h("span", { class: "dcm-epsilon" }), h("span", { class: "dcm-time" })];
  return {
    element: h("span", { class: "dcm-status" }, epsilon, time),
    /** @param {GridData} data */
    paint(data) {
      const elapsed = Number(model.get("elapsed"));
      epsilon.textContent = `ε = ${formatNumber(data.epsilon, ".4f")}`;
      time.textContent = data.isLost
        ? "Disconnected from the kernel."
        : data.isBusy
          ? "computing…"
          : elapsed > 0
            ? formatSeconds(elapsed)
            : "";
    },
  };
}

/** @param {Model} model */
function filterChips(model) {
  const chip = "dcm-chip dcm-toggle";
  const all = makeButton(chip, "Show all samples", () => assign(model, "shown", []));
  const chips = VERDICT_NAMES.map((name) => {
    const count = h("b");
    const { meaning, icon: path, plural } = VERDICTS[name];
    const toggle = () => {
      const shown = /** @type {string[]} */ (model.get("shown"));
      // In the order of display, as Python gives them back.
      assign(model, "shown", VERDICT_NAMES.filter((other) => shown.includes(other) !== (other === name)));
    };
    const button = makeButton(`${chip} dcm-${name}`, `${meaning} Press to show only these.`, toggle, icon(path), count, ` ${plural}`);
    return { name, button, count };
  });
  const brush = makeButton(chip, "Clear the brush", () => assign(model, "brushed", []));
  return {
    element: h("div", { class: "dcm-chips", role: "group", "aria-label": "Show only" }, all, ...chips.map((item) => item.button), brush),
    /** @param {GridData} data */
    paint(data) {
      all.textContent = `all ${grouped(data.indices.length)}`;
      setAttributes(all, { "aria-pressed": String(data.shown.length === 0) });
      for (const { name, button, count } of chips) {
        const pressed = data.shown.includes(name);
        count.textContent = grouped(data.counts[name]);
        setAttributes(button, { "aria-pressed": String(pressed) });
        // All of them, and with room for every count, so that nothing moves while epsilon does.
        const missing = grouped(data.indices.length).length - grouped(data.counts[name]).length;
        button.style.paddingInline = `calc(10px + ${missing / 2}ch)`;
        button.classList.toggle("dcm-none", data.counts[name] === 0);
      }
      brush.hidden = data.brushed.size === 0;
      brush.textContent = `${grouped(data.brushed.size)} brushed ✕`;
    },
  };
}

/** @param {Model} model */
function orderControls(model) {
  const select = h("select", {}, ...Object.entries(SORTS).map(([value, text]) => h("option", { value }, text)));
  select.addEventListener("change", () => assign(model, "sort_by", select.value));
  const arrow = s("path");
  const direction = makeButton(
    "dcm-button",
    "Largest first",
    () => assign(model, "descending", !model.get("descending")),
    s("svg", { class: "dcm-icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, arrow),
  );
  direction.ariaLabel = "Descending";
  return {
    element: h("div", { class: "dcm-group" }, h("label", {}, "sort by ", select), direction),
    /** @param {GridData} data */
    paint(data) {
      select.value = data.sortBy;
      setAttributes(direction, { "aria-pressed": String(data.descending) });
      arrow.setAttribute("d", data.descending ? "M8 2v12M4 10l4 4 4-4" : "M8 14V2M4 6l4-4 4 4");
    },
  };
}

/** @param {Model} model */
function drawControls(model) {
  const redraw = makeButton("dcm-button", "Pinned samples stay", () => model.send({ type: "reset" }), "Draw new samples");
  const undo = makeButton(
    "dcm-button",
    "Go back to the last samples",
    () => model.get("can_undo") && model.send({ type: "undo" }),
    "Undo",
  );
  const seed = h("input", { class: "dcm-entry", inputmode: "numeric", autocomplete: "off", title: "Press Enter to draw" });
  const problem = h("span", { class: "dcm-problem", role: "alert", hidden: true });
  /** @param {string} text "" if the entry is right */
  const complain = (text) => {
    problem.hidden = text === "";
    problem.textContent = text;
    setAttributes(seed, { "aria-invalid": text === "" ? false : "true" });
  };
  const revert = () => {
    seed.value = String(model.get("seed"));
    complain("");
  };
  seed.addEventListener("keydown", (event) => {
    if (event.key === "Escape") revert();
    if (event.key !== "Enter") return;
    const text = seed.value.trim();
    const value = Number(text);
    const right = /^\d+$/.test(text) && value <= LARGEST_SEED;
    complain(right ? "" : `A seed is an integer from 0 to ${LARGEST_SEED}. Received “${text}”.`);
    if (right && value !== model.get("seed")) model.send({ type: "draw", seed: value });
  });
  /** @type {number | null} */
  let drawn = null;
  // Whoever leaves the entry without Enter did not mean to draw.
  seed.addEventListener("blur", revert);
  const element = h("div", { class: "dcm-group" }, redraw, undo, h("label", {}, "seed ", seed), problem);
  return {
    element,
    /** @param {GridData} data */
    paint(data) {
      element.hidden = data.isStatic;
      // Not `disabled`, which would take the focus away from it.
      setAttributes(undo, { "aria-disabled": String(!model.get("can_undo")) });
      // What is being typed stays, until other samples are there.
      if (drawn === data.seed) return;
      drawn = data.seed;
      revert();
    },
  };
}
