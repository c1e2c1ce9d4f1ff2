/** @import { Model } from "./types.js" */

/**
 * A model that lives in the page alone: it keeps its state, tells its listeners, and knows no kernel.
 *
 * @implements {Model}
 */
export class StaticModel {
  /** @type {Record<string, unknown>} */
  #state;
  /** @type {Map<string, Set<(...args: any[]) => void>>} */
  #listeners = new Map();

  /** @param {Record<string, unknown>} state */
  constructor(state) {
    this.#state = { ...state };
  }

  /**
   * @param {string} name
   * @returns {any}
   */
  get(name) {
    return this.#state[name];
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  set(name, value) {
    if (same(this.#state[name], value)) return;
    this.#state[name] = value;
    for (const listener of [...(this.#listeners.get(`change:${name}`) ?? [])]) listener();
  }

  save_changes() {}

  send() {}

  /**
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   */
  on(event, listener) {
    const known = this.#listeners.get(event);
    if (known) known.add(listener);
    else this.#listeners.set(event, new Set([listener]));
  }

  /**
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   */
  off(event, listener) {
    this.#listeners.get(event)?.delete(listener);
  }
}

/**
 * @param {unknown} a
 * @param {unknown} b
 * @returns {boolean}
 */
function same(a, b) {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, k) => same(item, b[k]));
  }
  return false;
}

/**
 * The state of a widget as `decomon_widgets/_html.py` writes it: arrays in base64, and names for the
 * numbers that JSON does not have.
 *
 * @param {string} text
 * @returns {Record<string, unknown>}
 */
export function readState(text) {
  return JSON.parse(text, (_, value) => {
    if (typeof value?.$binary === "string") {
      const bytes = Uint8Array.from(atob(value.$binary), (character) => character.charCodeAt(0));
      return new DataView(bytes.buffer);
    }
    return typeof value?.$number === "string" ? Number(value.$number) : value;
  });
}

/**
 * A model with some names of its own, which nobody else sees: what only a view is concerned with.
 *
 * @param {Model} model
 * @param {Record<string, unknown>} own names and their first values
 * @returns {Model}
 */
export function overlay(model, own) {
  const inner = new StaticModel(own);
  /** @param {string} name */
  const home = (name) => (name in own ? inner : model);
  /** @param {string} event */
  const source = (event) => home(event.replace(/^change:/, ""));
  return {
    get: (name) => home(name).get(name),
    set: (name, value) => home(name).set(name, value),
    save_changes: () => model.save_changes(),
    send: (content) => model.send(content),
    on: (event, callback) => source(event).on(event, callback),
    off: (event, callback) => source(event).off(event, callback),
  };
}
