import { watchConnection } from "../lib/connection.js";
import { h, uniqueId, watch } from "../lib/dom.js";
import { GRID_TRAITS, GridData } from "../lib/grid_data.js";
import { errorBox } from "../lib/parts.js";
import { moveSelection, scrollToRow, visibleRows } from "../lib/selection.js";
import { assign, sampleBar } from "./sample_bar.js";
import { Tile, details } from "./sample_tile.js";

/** @import { RenderProps } from "../lib/types.js" */

/** Least and largest width of a tile in pixels. */
const WIDTHS = { image: [128, 190], row: [170, 260], signal: [170, 260] };
const GAP = 10;
/** Room around the tiles for their outlines. */
const EDGE = 5;
/** So many samples never scroll by themselves: the page does. */
const MOST_UNSCROLLED = 40;
const SCROLLED_HEIGHT = 620;
/** Rows drawn beyond each end of what is visible. */
const AROUND = 2;

/** @param {RenderProps} props */
export function sampleGrid({ model, el }) {
  const tipId = uniqueId();
  const bar = sampleBar(model);
  const list = h("div", {
    class: "dcm-tiles",
    role: "listbox",
    "aria-label": "Samples",
    "aria-orientation": "horizontal",
    "data-lm-suppress-shortcuts": "true",
  });
  const empty = h("div", { class: "dcm-empty", hidden: true }, "No sample passes the filter.");
  const scroller = h("div", { class: "dcm-scroller" }, list, empty);
  const tip = h("div", { class: "dcm-tip", role: "tooltip", id: tipId, hidden: true });
  const errors = h("div");
  const stage = h("div", { class: "dcm-stage" }, scroller, tip);
  const root = h("div", { class: "dcm-root dcm-sample-grid" }, bar.element, errors, stage, bar.live);

  let data = new GridData(model, null, false);
  /** @type {Map<number, Tile>} the drawn ones, by the position of their sample */
  const tiles = new Map();
  /** @type {Tile[]} in the order of display */
  let sequence = [];
  /** @type {Tile[]} */
  let spare = [];
  /** @type {Tile | null} */
  let described = null;
  /** The sample that the Tab key reaches, and its place when it was last shown. */
  let current = { position: -1, rank: 0 };
  let columns = 1;
  let tileWidth = 0;
  let pitch = 0;
  /** Of the scrolled part; kept, because to ask for it makes the browser lay out the page. */
  const viewport = { top: 0, height: 0 };
  let shownError = "";
  let lost = false;

  /** @param {number} position @returns {number} -1 if the filter hides it */
  const rankOf = (position) => data.ranks[position] ?? -1;

  const hideTip = () => {
    described = null;
    tip.hidden = true;
  };

  /** @param {Tile} tile */
  const showTip = (tile) => {
    described = tile;
    tip.replaceChildren(...details(data, tile.position).map((line) => h("div", {}, line)));
    tip.hidden = false;
    const [frame, around] = [tile.element.getBoundingClientRect(), stage.getBoundingClientRect()];
    const { left, top } = placeTip(
      { left: frame.left - around.left, top: frame.top - around.top, width: frame.width, height: frame.height },
      { width: tip.offsetWidth, height: tip.offsetHeight },
      { width: stage.clientWidth, height: stage.clientHeight },
    );
    tip.style.left = `${left}px`;
    tip.style.top = `${top}px`;
  };

  /** @param {number} position */
  const select = (position) => {
    if (data.selected !== position) assign(model, "selected", position);
  };

  /** @param {number} position */
  const togglePin = (position) => {
    const index = data.indices[position];
    if (data.isStatic || index === undefined) return;
    assign(model, "pinned", data.pinned.has(index) ? [...data.pinned].filter((other) => other !== index) : [...data.pinned, index]);
  };

  const look = () => {
    viewport.top = scroller.scrollTop;
    viewport.height = scroller.clientHeight;
  };

  /** Takes over the width: number of columns, width of the tiles, height of the rows. */
  const layout = () => {
    const width = scroller.clientWidth - 2 * EDGE;
    if (width <= 0) return;
    const [least = 1, most = 1] = WIDTHS[data.kind] ?? [];
    columns = Math.min(data.columns, Math.max(1, Math.floor((width + GAP) / (least + GAP))));
    tileWidth = Math.min(most, Math.floor((width - (columns - 1) * GAP) / columns));
    list.style.setProperty("--dcm-tile-width", `${tileWidth}px`);
    if (sequence.length === 0) place();
    const height = sequence[0]?.element.offsetHeight;
    if (height) pitch = height + GAP;
    const rows = Math.ceil(data.indices.length / columns);
    const scrolls = data.indices.length > MOST_UNSCROLLED;
    const content = rows * pitch - GAP + 2 * EDGE;
    scroller.classList.toggle("dcm-scrolls", scrolls);
    // Of all samples, not of those that pass the filter: what is below stays where it is.
    scroller.style.height = pitch > 0 ? `${scrolls ? Math.min(SCROLLED_HEIGHT, content) : content}px` : "";
    look();
    place();
    if (described) showTip(described);
  };

  /** Draws the samples on the screen, and gives up the others. */
  const place = () => {
    const rows = Math.ceil(data.order.length / columns);
    const [first, end] = visibleRows(viewport.top - EDGE, viewport.height, pitch, rows, AROUND);
    /** @type {number[]} */
    const ranks = [];
    for (let rank = first * columns; rank < Math.min(end * columns, data.order.length); rank += 1) ranks.push(rank);
    // The Tab key must find it, also where it was scrolled away.
    if (current.position >= 0 && !ranks.includes(current.rank)) {
      if (current.rank < (ranks[0] ?? 0)) ranks.unshift(current.rank);
      else ranks.push(current.rank);
    }
    const wanted = ranks.map((rank) => /** @type {number} */ (data.order[rank]));
    const staying = new Set(wanted);
    let lostFocus = false;
    for (const [position, tile] of tiles) {
      if (staying.has(position)) continue;
      lostFocus ||= tile.element.matches(":focus");
      if (tile === described) hideTip();
      tile.element.remove();
      tiles.delete(position);
      spare.push(tile);
    }
    const next = wanted.map((position, k) => {
      const tile = tiles.get(position) ?? spare.pop() ?? new Tile(data, tipId);
      tiles.set(position, tile);
      tile.show(data, position);
      const rank = /** @type {number} */ (ranks[k]);
      tile.moveTo(EDGE + (rank % columns) * (tileWidth + GAP), EDGE + Math.floor(rank / columns) * pitch);
      tile.element.tabIndex = position === current.position ? 0 : -1;
      return tile;
    });
    arrange(list, next.map((tile) => tile.element));
    sequence = next;
    spare = spare.slice(0, 2 * columns);
    list.style.height = `${Math.max(0, rows * pitch - GAP) + 2 * EDGE}px`;
    if (lostFocus) tiles.get(current.position)?.element.focus({ preventScroll: true });
  };

  const findCurrent = () => {
    const selected = rankOf(data.selected);
    const same = rankOf(current.position);
    const rank = selected >= 0 ? selected : same >= 0 ? same : Math.min(current.rank, data.order.length - 1);
    current = { position: data.order[rank] ?? -1, rank: Math.max(0, rank) };
  };

  /** @param {number} rank is brought onto the screen, if the grid scrolls by itself */
  const reveal = (rank) => {
    const row = Math.floor(rank / columns);
    const top = scrollToRow(row, viewport.top, viewport.height - EDGE, pitch);
    if (top === viewport.top) return;
    scroller.scrollTop = top;
    look();
    place();
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
    const before = data;
    data = new GridData(model, before, lost);
    const otherSamples = changed?.has("indices");
    const otherPictures = before.kind !== data.kind || String(before.shape) !== String(data.shape);
    if (otherPictures || otherSamples) {
      hideTip();
      scroller.scrollTop = viewport.top = 0;
      current = { position: -1, rank: 0 };
    }
    if (otherPictures) {
      for (const tile of tiles.values()) tile.element.remove();
      tiles.clear();
      [sequence, spare] = [[], []];
    }
    findCurrent();
    root.classList.toggle("dcm-busy", data.isBusy);
    root.classList.toggle("dcm-brushing", data.brushed.size > 0);
    root.classList.toggle("dcm-offline", data.isStatic);
    root.classList.toggle("dcm-long-names", hasLongNames(data));
    list.setAttribute("aria-busy", String(data.isBusy));
    bar.paint(data);
    list.hidden = data.order.length === 0;
    empty.hidden = !list.hidden;
    const resized = ["columns", "indices", "class_names", "_kind", "_image_shape"].some((name) => changed?.has(name));
    if (!changed || resized || pitch === 0) layout();
    else place();
    if (changed?.has("selected") && rankOf(data.selected) >= 0) reveal(rankOf(data.selected));
    if (changed?.has("brushed")) revealBrushed();
    if (described) showTip(described);
    paintError();
  };

  const revealBrushed = () => {
    const ranks = [...data.brushed].map(rankOf).filter((rank) => rank >= 0);
    const [top, bottom] = [viewport.top, viewport.top + viewport.height];
    const visible = ranks.some((rank) => {
      const start = Math.floor(rank / columns) * pitch;
      return start >= top && start + pitch <= bottom;
    });
    if (ranks.length > 0 && !visible) reveal(Math.min(...ranks));
  };

  /** @param {Event} event */
  const tileOf = (event) => {
    const target = /** @type {Node} */ (event.target);
    return sequence.find((tile) => tile.element.contains(target)) ?? null;
  };

  /** @param {number} rank */
  const go = (rank) => {
    current = { position: data.order[rank] ?? -1, rank };
    place();
    reveal(rank);
    tiles.get(current.position)?.element.focus();
    select(current.position);
  };

  list.addEventListener("click", (event) => {
    const tile = tileOf(event);
    if (!tile) return;
    if (/** @type {Element} */ (event.target).closest(".dcm-pin")) togglePin(tile.position);
    else go(rankOf(tile.position));
  });
  list.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const tile = tileOf(event);
    if (event.key === "Escape") {
      if (!described) select(-1);
      hideTip();
      return;
    }
    if (tile && event.key === "p") togglePin(tile.position);
    else {
      const from = tile ? rankOf(tile.position) : current.rank;
      const chosen = event.key === " " || event.key === "Enter";
      const rows = Math.floor(viewport.height / (pitch || 1));
      const next = chosen ? from : moveSelection(event.key, from, data.order.length, columns, rows);
      if (next === null) return;
      go(next);
    }
    event.preventDefault();
    event.stopPropagation();
  });
  scroller.addEventListener("scroll", () => {
    look();
    place();
    if (!described) return;
    const [inside, around] = [described.element.getBoundingClientRect(), scroller.getBoundingClientRect()];
    if (inside.bottom <= around.top || inside.top >= around.bottom) hideTip();
    else showTip(described);
  });
  list.addEventListener("mouseover", (event) => {
    const tile = tileOf(event);
    if (tile && tile !== described) showTip(tile);
  });
  // Leaving with the pointer gives the tooltip back to the focused tile, if there is one.
  stage.addEventListener("mouseleave", () => {
    const focused = sequence.find((tile) => tile.element.matches(":focus"));
    if (focused) showTip(focused);
    else hideTip();
  });
  list.addEventListener("focusin", (event) => {
    const tile = tileOf(event);
    if (!tile) return;
    current = { position: tile.position, rank: rankOf(tile.position) };
    showTip(tile);
  });
  list.addEventListener("focusout", (event) => {
    if (!list.contains(/** @type {Node | null} */ (event.relatedTarget))) hideTip();
  });

  const observer = new ResizeObserver(layout);
  observer.observe(scroller);
  el.classList.add("dcm-host");
  el.replaceChildren(root);
  repaint(null);
  const stop = watch(model, GRID_TRAITS, repaint);
  const stopLooking = watchConnection(model, el, (now) => {
    if (now === lost) return;
    lost = now;
    repaint(new Set());
  });
  return () => {
    stop();
    stopLooking();
    observer.disconnect();
  };
}

/**
 * Puts elements into their order without moving the one that has the focus, which would lose it.
 *
 * @param {HTMLElement} parent
 * @param {readonly HTMLElement[]} elements all children that it has afterwards
 */
function arrange(parent, elements) {
  if (elements.length === parent.children.length && elements.every((element, k) => parent.children[k] === element)) return;
  const fixed = elements.findIndex((element) => element.matches(":focus"));
  elements.forEach((element, k) => {
    if (k !== fixed) parent.insertBefore(element, k < fixed ? /** @type {HTMLElement} */ (elements[fixed]) : null);
  });
}

/**
 * Where a tooltip is: beside its tile, so that it hides neither the picture nor, like one below the last row,
 * reaches out of the output.
 *
 * @param {{ left: number, top: number, width: number, height: number }} tile
 * @param {{ width: number, height: number }} tip
 * @param {{ width: number, height: number }} stage
 */
function placeTip(tile, tip, stage) {
  const right = tile.left + tile.width + 4;
  const fitsRight = right + tip.width <= stage.width;
  const fitsLeft = tile.left - tip.width - 4 >= 0;
  const room = Math.max(0, stage.width - tip.width);
  const left = fitsRight ? right : fitsLeft ? tile.left - tip.width - 4 : Math.min(tile.left, room);
  const below = tile.top + tile.height + 2;
  const above = tile.top - tip.height - 2;
  const fitsBelow = below + tip.height <= stage.height || above < 0;
  const beside = Math.max(0, Math.min(tile.top + 24, stage.height - tip.height));
  return { left, top: fitsRight || fitsLeft ? beside : fitsBelow ? below : above };
}

/** @param {GridData} data */
function hasLongNames({ classNames, labels, predictions }) {
  return classNames.length > 0 || labels.some((label) => label > 99) || predictions.some((label) => label > 99);
}
