import { readFloat64, readInt32, readUint8 } from "./lib/binary.js";
import { h, icon, setAttributes, uniqueId, watch } from "./lib/dom.js";
import { toRgba } from "./lib/images.js";
import { formatNumber, formatSeconds } from "./lib/numbers.js";
import { countChips, errorBox } from "./lib/parts.js";
import { moveSelection } from "./lib/selection.js";
import { VERDICTS, countVerdicts, countsSentence, shownVerdicts } from "./lib/verdicts.js";

/** @import { Knowledge, Model, RenderProps, VerdictName } from "./lib/types.js" */

const TRAITS = [
  "epsilon",
  "columns",
  "selected",
  "busy",
  "elapsed",
  "error",
  "_traceback",
  "_images",
  "_image_shape",
  "labels",
  "predictions",
  "reasons",
  "indices",
  "upper",
  "lower",
  "evaluated_epsilon",
  "_certified",
  "_falsified",
  "_tried",
  "_misclassified",
];

/** Everything a tile shows. */
class Sample {
  /**
   * @param {Model} model
   * @param {number} position
   * @param {VerdictName} verdict
   */
  constructor(model, position, verdict) {
    this.position = position;
    this.verdict = verdict;
    this.label = readInt32(model.get("labels"))[position] ?? -1;
    this.predicted = readInt32(model.get("predictions"))[position] ?? -1;
    this.upper = readFloat64(model.get("upper"))[position] ?? NaN;
    this.lower = readFloat64(model.get("lower"))[position] ?? NaN;
    this.epsilon = Number(model.get("evaluated_epsilon"));
    this.index = /** @type {number[]} */ (model.get("indices"))[position];
    this.reason = /** @type {string[]} */ (model.get("reasons"))[position] ?? "";
  }

  get caption() {
    return this.predicted < 0
      ? `label ${this.label}`
      : `label ${this.label}, predicted ${this.predicted}`;
  }

  /** @returns {string[]} the lines of the tooltip */
  get details() {
    const style = VERDICTS[this.verdict];
    const lines = [style.meaning, `Sample ${this.index}: ${this.caption}.`];
    if (!Number.isNaN(this.upper) && !Number.isNaN(this.lower)) {
      lines.push(
        `Largest margin at ε = ${formatNumber(this.epsilon, ".4g")}: between ` +
          `${formatNumber(this.lower, ".4g")} and ${formatNumber(this.upper, ".4g")}.`,
      );
    } else {
      lines.push("No bounds yet.");
    }
    if (this.verdict === "unknown" && this.reason) lines.push(`Reason: ${this.reason}`);
    return lines;
  }
}

/** One tile: frame, title, image, caption. */
class Tile {
  /** @param {string} tipId */
  constructor(tipId) {
    this.canvas = h("canvas", { class: "dcm-canvas", "aria-hidden": "true" });
    this.title = h("div", { class: "dcm-title" });
    this.frame = h("div", { class: "dcm-frame" }, this.canvas);
    this.caption = h("div", { class: "dcm-caption" });
    this.element = h(
      "div",
      { role: "option", tabindex: -1, "aria-describedby": tipId },
      this.title,
      this.frame,
      this.caption,
    );
    /** @type {Sample | null} */
    this.sample = null;
  }

  /**
   * @param {Sample} sample
   * @param {boolean} selected
   */
  show(sample, selected) {
    const style = VERDICTS[sample.verdict];
    this.sample = sample;
    this.element.className = `dcm-tile dcm-${sample.verdict}`;
    setAttributes(this.element, {
      "aria-selected": String(selected),
      "aria-label": `${style.title}, ${sample.caption}`,
      "data-verdict": sample.verdict,
      "data-index": sample.index ?? -1,
    });
    this.title.replaceChildren(icon(style.icon), h("span", {}, style.title));
    this.caption.replaceChildren(
      h("span", {}, `label ${sample.label}`),
      h("span", {}, `pred. ${sample.predicted < 0 ? "…" : sample.predicted}`),
    );
  }

  /**
   * @param {Uint8Array} pixels
   * @param {number} position
   * @param {[number, number, number]} shape
   */
  draw(pixels, position, shape) {
    const [height, width] = shape;
    const rgba = toRgba(pixels, position, shape);
    const context = this.canvas.getContext("2d");
    if (!context) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.classList.toggle("dcm-coarse", Math.max(height, width) <= 96);
    if (rgba) context.putImageData(new ImageData(rgba, width, height), 0, 0);
  }
}

/** @param {RenderProps} props */
function render({ model, el }) {
  const tipId = uniqueId();
  const chips = h("div", { class: "dcm-chips" });
  const status = h("span", { class: "dcm-status" });
  const reset = h("button", { class: "dcm-button", type: "button" }, "Reset");
  reset.title = "Draw other samples";
  const list = h("div", {
    class: "dcm-tiles",
    role: "listbox",
    "aria-label": "Samples",
    "aria-orientation": "horizontal",
    "data-lm-suppress-shortcuts": "true",
  });
  const tip = h("div", { class: "dcm-tip", role: "tooltip", id: tipId, hidden: true });
  const errors = h("div");
  const live = h("div", { class: "dcm-hidden", role: "status", "aria-live": "polite" });
  const stage = h("div", { class: "dcm-stage" }, list, tip);
  const root = h(
    "div",
    { class: "dcm-root dcm-sample-grid" },
    h("div", { class: "dcm-bar" }, reset, status, chips),
    errors,
    stage,
    live,
  );
  /** @type {Tile[]} */
  let tiles = [];
  /** @type {Tile | null} */
  let described = null;
  let shownError = "";

  /** @returns {Knowledge} */
  const knowledge = () => ({
    certified: readFloat64(model.get("_certified")),
    falsified: readFloat64(model.get("_falsified")),
    tried: readFloat64(model.get("_tried")),
    misclassified: readUint8(model.get("_misclassified")),
  });

  /** @param {number} position */
  const select = (position) => {
    if (model.get("selected") === position) return;
    model.set("selected", position);
    model.save_changes();
  };

  const hideTip = () => {
    described = null;
    tip.hidden = true;
  };

  /** @param {Tile} tile */
  const showTip = (tile) => {
    if (!tile.sample) return;
    described = tile;
    tip.replaceChildren(...tile.sample.details.map((line) => h("div", {}, line)));
    tip.hidden = false;
    // Beside the tile: it hides neither the image nor, like one below the last row, reaches out of the output.
    const { offsetLeft: left, offsetTop: top, offsetWidth: width, offsetHeight: height } = tile.element;
    const right = left + width + 4;
    const fitsRight = right + tip.offsetWidth <= stage.clientWidth;
    const fitsLeft = left - tip.offsetWidth - 4 >= 0;
    const room = Math.max(0, stage.clientWidth - tip.offsetWidth);
    const x = fitsRight ? right : fitsLeft ? left - tip.offsetWidth - 4 : Math.min(left, room);
    const below = top + height + 2;
    const above = top - tip.offsetHeight - 2;
    const fitsBelow = below + tip.offsetHeight <= stage.clientHeight || above < 0;
    const y = fitsRight || fitsLeft ? top + 24 : fitsBelow ? below : above;
    tip.style.left = `${x}px`;
    tip.style.top = `${y}px`;
  };

  const rebuild = () => {
    const count = /** @type {number[]} */ (model.get("indices")).length;
    if (tiles.length !== count) {
      hideTip();
      tiles = Array.from({ length: count }, () => new Tile(tipId));
      list.replaceChildren(...tiles.map((tile) => tile.element));
    }
    const pixels = readUint8(model.get("_images"));
    tiles.forEach((tile, position) => tile.draw(pixels, position, model.get("_image_shape")));
  };

  const paintTiles = () => {
    const verdicts = shownVerdicts(knowledge(), Number(model.get("epsilon")));
    const selected = Number(model.get("selected"));
    const focusable = selected >= 0 && selected < tiles.length ? selected : 0;
    tiles.forEach((tile, position) => {
      tile.show(new Sample(model, position, verdicts[position] ?? "pending"), position === selected);
      tile.element.tabIndex = position === focusable ? 0 : -1;
    });
    if (described) showTip(described);
    return countVerdicts(verdicts);
  };

  /** @param {Record<VerdictName, number>} counts */
  const paintBar = (counts) => {
    const busy = Boolean(model.get("busy"));
    const epsilon = formatNumber(Number(model.get("epsilon")), ".4f");
    const elapsed = Number(model.get("elapsed"));
    root.classList.toggle("dcm-busy", busy);
    setAttributes(list, { "aria-busy": String(busy) });
    const time = busy
      ? "computing…"
      : elapsed > 0
        ? formatSeconds(elapsed)
        : "";
    status.replaceChildren(
      h("span", { class: "dcm-epsilon" }, `ε = ${epsilon}`),
      h("span", { class: "dcm-time" }, time),
    );
    chips.replaceChildren(...countChips(counts));
    if (!busy) live.textContent = `At epsilon ${epsilon}: ${countsSentence(counts)}.`;
  };

  const paintError = () => {
    const message = String(model.get("error"));
    const traceback = String(model.get("_traceback"));
    // Left alone when unchanged, so that an opened traceback stays open.
    if (shownError === message + traceback) return;
    shownError = message + traceback;
    errors.replaceChildren(...(message ? [errorBox(message, traceback)] : []));
  };

  /** @param {ReadonlySet<string> | null} changed null repaints all */
  const repaint = (changed) => {
    if (!changed || changed.has("indices") || changed.has("_images") || changed.has("_image_shape")) {
      rebuild();
    }
    root.style.setProperty("--dcm-columns", String(model.get("columns")));
    paintBar(paintTiles());
    paintError();
  };

  /** @param {Event} event */
  const tileOf = (event) => {
    const target = /** @type {Node} */ (event.target);
    return tiles.find((tile) => tile.element.contains(target)) ?? null;
  };

  const columnsOnScreen = () => {
    const top = tiles[0]?.element.offsetTop;
    return Math.max(1, tiles.filter((tile) => tile.element.offsetTop === top).length);
  };

  reset.addEventListener("click", () => model.send({ type: "reset" }));
  list.addEventListener("click", (event) => {
    const tile = tileOf(event);
    if (!tile) return;
    tile.element.focus();
    select(tiles.indexOf(tile));
  });
  list.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const tile = tileOf(event);
    const current = tile ? tiles.indexOf(tile) : Number(model.get("selected"));
    const next =
      event.key === " " || event.key === "Enter"
        ? current
        : moveSelection(event.key, current, tiles.length, columnsOnScreen());
    if (event.key === "Escape") {
      if (!described) select(-1);
      hideTip();
      return;
    }
    if (next === null) return;
    event.preventDefault();
    event.stopPropagation();
    tiles[next]?.element.focus();
    select(next);
  });
  list.addEventListener("mouseover", (event) => {
    const tile = tileOf(event);
    if (tile && tile !== described) showTip(tile);
  });
  // Leaving with the pointer gives the tooltip back to the focused tile, if there is one.
  stage.addEventListener("mouseleave", () => {
    const focused = tiles.find((tile) => tile.element === document.activeElement);
    if (focused) showTip(focused);
    else hideTip();
  });
  list.addEventListener("focusin", (event) => {
    const tile = tileOf(event);
    if (tile) showTip(tile);
  });
  list.addEventListener("focusout", (event) => {
    if (!list.contains(/** @type {Node | null} */ (event.relatedTarget))) hideTip();
  });

  repaint(null);
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  return watch(model, TRAITS, repaint);
}

export default { render };
