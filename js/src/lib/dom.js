/** @import { Model } from "./types.js" */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean>} [attributes] `true` sets an empty attribute, `false` none
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean>} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/**
 * @param {Element} element
 * @param {Record<string, string | number | boolean>} attributes
 */
export function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * The icon of a verdict.
 *
 * @param {string} path
 * @returns {SVGElement}
 */
export function icon(path) {
  return s(
    "svg",
    { class: "dcm-icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    s("path", { d: path }),
  );
}

let lastId = 0;

/** An id that is unique in the page, whatever the number of views and of bundles. */
export function uniqueId() {
  lastId += 1;
  return `dcm-${Math.random().toString(36).slice(2, 8)}-${lastId}`;
}

/**
 * Repaints a view once after each batch of model changes.
 *
 * @param {Model} model
 * @param {readonly string[]} names
 * @param {(changed: ReadonlySet<string>) => void} repaint
 * @returns {() => void} stops watching
 */
export function watch(model, names, repaint) {
  /** @type {Set<string>} */
  let changed = new Set();
  let live = true;
  const flush = () => {
    const batch = changed;
    changed = new Set();
    if (live) repaint(batch);
  };
  const handlers = names.map((name) => {
    const handler = () => {
      if (changed.size === 0) queueMicrotask(flush);
      changed.add(name);
    };
    model.on(`change:${name}`, handler);
    return { event: `change:${name}`, handler };
  });
  return () => {
    live = false;
    for (const { event, handler } of handlers) model.off(event, handler);
  };
}
