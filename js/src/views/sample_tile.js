import { h, icon, s, setAttributes } from "../lib/dom.js";
import { formatNumber } from "../lib/numbers.js";
import { radiusSentence } from "../lib/radii.js";
import { VERDICTS } from "../lib/verdicts.js";
import { makePainter } from "./sample_pictures.js";

/** @import { GridData } from "../lib/grid_data.js" */
/** @import { VerdictName } from "../lib/types.js" */

const PIN = "M6 2h4l-.6 5 2.6 2.5H4L6.6 7zM8 9.5V14";

/** One sample on the screen: title, frame with its picture, caption, pin. */
export class Tile {
  #title = h("div", { class: "dcm-title" });
  #label = h("span");
  #predicted = h("span");
  /** What only colours tell those who see them. */
  #marks = h("span", { class: "dcm-hidden" });
  #painter;
  #look = "";
  #epsilon = NaN;
  /** @type {{ pictures: unknown, position: number } | null} */
  #drawn = null;

  /**
   * @param {GridData} data
   * @param {string} tipId
   */
  constructor(data, tipId) {
    this.#painter = makePainter(data);
    const pin = h(
      "span",
      { class: "dcm-pin", "aria-hidden": "true", title: "Keep when new samples are drawn (key p)" },
      s("svg", { class: "dcm-icon", viewBox: "0 0 16 16" }, s("path", { d: PIN })),
    );
    const frame = h("div", { class: "dcm-frame" }, this.#painter.element);
    const caption = h("div", { class: "dcm-caption" }, h("div", { class: "dcm-classes" }, this.#label, " ", this.#predicted), pin, this.#marks);
    this.element = h("div", { role: "option", tabindex: -1, "aria-describedby": tipId }, this.#title, frame, caption);
    this.position = -1;
  }

  /**
   * @param {GridData} data
   * @param {number} position of the sample in the grid
   */
  show(data, position) {
    this.position = position;
    const drawn = this.#drawn?.pictures === data.pictures && this.#drawn.position === position;
    if (!drawn) {
      this.#painter.draw(data, position);
      this.#drawn = { pictures: data.pictures, position };
    }
    if (!drawn || this.#epsilon !== data.epsilon) {
      this.#painter.reach(data, position);
      this.#epsilon = data.epsilon;
    }
    const verdict = verdictOf(data, position);
    const label = data.className(data.labels[position]);
    const predicted = data.className(data.predictions[position]);
    const index = data.indices[position] ?? -1;
    const state = {
      selected: position === data.selected,
      pinned: data.pinned.has(index),
      brushed: data.brushed.has(position),
    };
    const look = [index, verdict, label, predicted, data.ranks[position], data.order.length, data.isStatic, ...Object.values(state)].join("\n");
    // Most tiles look the same after most changes.
    if (look === this.#look) return;
    this.#look = look;
    const style = VERDICTS[verdict];
    this.element.className = `dcm-tile dcm-${verdict}`;
    this.element.classList.toggle("dcm-brushed", state.brushed);
    this.element.classList.toggle("dcm-pinned", state.pinned);
    setAttributes(this.element, {
      "aria-selected": String(state.selected),
      "aria-posinset": (data.ranks[position] ?? 0) + 1,
      "aria-setsize": data.order.length,
      "aria-keyshortcuts": data.isStatic ? false : "p",
      "data-verdict": verdict,
      "data-index": index,
    });
    this.#title.replaceChildren(icon(style.icon), h("span", {}, style.title));
    this.#marks.textContent = `${state.pinned ? " pinned" : ""}${state.brushed ? " brushed" : ""}`;
    this.#label.textContent = `label ${label}`;
    this.#predicted.textContent = `pred. ${predicted}`;
  }

  /**
   * @param {number} left in pixels
   * @param {number} top in pixels
   */
  moveTo(left, top) {
    this.element.style.left = `${left}px`;
    this.element.style.top = `${top}px`;
  }
}

/**
 * @param {GridData} data
 * @param {number} position
 * @returns {VerdictName}
 */
const verdictOf = (data, position) => data.verdicts[position] ?? "pending";

/**
 * @param {GridData} data
 * @param {number} position
 */
function caption(data, position) {
  const label = `label ${data.className(data.labels[position])}`;
  const predicted = data.predictions[position] ?? -1;
  return predicted < 0 ? label : `${label}, predicted ${data.className(predicted)}`;
}

/**
 * The lines of the tooltip of a sample.
 *
 * @param {GridData} data
 * @param {number} position
 * @returns {string[]}
 */
export function details(data, position) {
  const verdict = verdictOf(data, position);
  const lines = [VERDICTS[verdict].meaning, `Sample ${data.indices[position]}: ${caption(data, position)}.`];
  const [lower = NaN, upper = NaN] = [data.lower[position], data.upper[position]];
  if (!Number.isNaN(upper) && !Number.isNaN(lower)) {
    lines.push(
      `Largest margin at ε = ${formatNumber(data.evaluatedEpsilon, ".4g")}: between ` +
        `${formatNumber(lower, ".4g")} and ${formatNumber(upper, ".4g")}.`,
    );
  } else {
    lines.push("No bounds yet.");
  }
  if (verdict !== "misclassified") {
    const { certified, falsified } = data.knowledge;
    const sentence = radiusSentence(certified[position] ?? -Infinity, falsified[position] ?? Infinity);
    if (sentence) lines.push(sentence);
  }
  const reason = data.reasons[position] ?? "";
  if (verdict === "unknown" && reason) lines.push(`Reason: ${reason}`);
  return lines;
}
