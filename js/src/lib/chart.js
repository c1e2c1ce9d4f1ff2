import { niceTicks } from "./axis.js";
import { s } from "./dom.js";
import { formatNumber } from "./numbers.js";

/**
 * A linear map from values to pixels.
 *
 * @typedef {object} Scale
 * @property {number} low smallest value
 * @property {number} high largest value
 * @property {(value: number) => number} at pixel of a value
 * @property {(pixel: number) => number} invert value at a pixel, inside of the range
 */

/**
 * @param {readonly [number, number]} values `low < high`
 * @param {readonly [number, number]} pixels of `low` and of `high`
 * @returns {Scale}
 */
export function linear([low, high], [from, to]) {
  const each = (to - from) / (high - low);
  return {
    low,
    high,
    at: (value) => from + (value - low) * each,
    invert: (pixel) => Math.min(high, Math.max(low, low + (pixel - from) / each)),
  };
}

/**
 * The horizontal axis with ticks below the plot.
 *
 * @param {Scale} scale
 * @param {number} y pixel of the axis
 * @param {string} title
 * @param {number} width of the whole picture, so that no label is cut
 * @param {(value: number) => string} [format]
 * @returns {SVGElement}
 */
export function bottomAxis(scale, y, title, width, format = (value) => formatNumber(value, ".4g")) {
  const [left, right] = [scale.at(scale.low), scale.at(scale.high)];
  const group = s("g", { class: "dcm-axis-group" }, s("line", { class: "dcm-axis", x1: left, x2: right, y1: y, y2: y }));
  for (const tick of niceTicks(scale.low, scale.high, Math.max(2, Math.floor((right - left) / 60)))) {
    const label = format(tick);
    // A long label at the right end would be cut; a character is about seven pixels wide.
    const anchor = width - scale.at(tick) < 3.5 * label.length ? "end" : "middle";
    group.append(
      s("line", { class: "dcm-axis", x1: scale.at(tick), x2: scale.at(tick), y1: y, y2: y + 5 }),
      s("text", { class: "dcm-tick", x: scale.at(tick), y: y + 18, "text-anchor": anchor }, label),
    );
  }
  group.append(s("text", { class: "dcm-axis-title", x: (left + right) / 2, y: y + 36, "text-anchor": "middle" }, title));
  return group;
}

/**
 * The vertical axis: lines across the plot, labels at its left.
 *
 * @param {Scale} scale
 * @param {number} left pixel of the left end of the lines
 * @param {number} right pixel of their right end
 * @param {string} title
 * @param {(value: number) => string} [format]
 * @returns {SVGElement}
 */
export function leftAxis(scale, left, right, title, format = (value) => formatNumber(value, ".4g")) {
  const [bottom, top] = [scale.at(scale.low), scale.at(scale.high)];
  const group = s("g", { class: "dcm-axis-group" });
  for (const tick of niceTicks(scale.low, scale.high, Math.max(2, Math.floor((bottom - top) / 45)))) {
    const y = scale.at(tick);
    group.append(
      s("line", { class: "dcm-grid-line", x1: left, x2: right, y1: y, y2: y }),
      s("text", { class: "dcm-tick", x: left - 6, y: y + 4, "text-anchor": "end" }, format(tick)),
    );
  }
  const middle = (bottom + top) / 2;
  group.append(
    s("text", { class: "dcm-axis-title", transform: `translate(12 ${middle}) rotate(-90)`, "text-anchor": "middle" }, title),
  );
  return group;
}

/**
 * Paints again whenever the width of an element changes; also the first time that it has one.
 *
 * @param {Element} element
 * @param {() => void} paint
 * @returns {() => void} stops
 */
export function onWidth(element, paint) {
  let painted = -1;
  const observer = new ResizeObserver(() => {
    if (element.clientWidth === painted) return;
    painted = element.clientWidth;
    paint();
  });
  observer.observe(element);
  return () => observer.disconnect();
}

/**
 * Follows a pointer (mouse, pen or finger) from its press to its release.
 *
 * @param {Element} element which also survives a repaint; give it `touch-action: none` or `pan-y`
 * @param {object} handlers
 * @param {(event: PointerEvent) => boolean} handlers.start whether this press begins a drag
 * @param {(event: PointerEvent) => void} handlers.move
 * @param {(event: PointerEvent) => void} handlers.end also when the system takes the pointer away
 */
export function onDrag(element, { start, move, end }) {
  /** @type {number | null} */
  let pointer = null;
  const target = /** @type {HTMLElement} */ (element);
  target.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0 || !start(event)) return;
    pointer = event.pointerId;
    target.setPointerCapture(pointer);
    event.preventDefault();
  });
  target.addEventListener("pointermove", (event) => {
    if (event.pointerId === pointer) move(event);
  });
  /** @param {PointerEvent} event */
  const stop = (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    end(event);
  };
  target.addEventListener("pointerup", stop);
  target.addEventListener("pointercancel", stop);
}
