/** @import { Model } from "./types.js" */

/**
 * Something that a view reads and that follows from other traits.
 *
 * @typedef {object} Computed
 * @property {readonly string[]} from the traits of the whole model that it follows from
 * @property {() => unknown} get
 */

/**
 * A model for one view of a larger widget: the view finds the names that it knows.
 *
 * @param {Model} model of the whole widget
 * @param {object} parts
 * @param {Record<string, string>} [parts.names] name in the view: trait of the whole model. Names that
 *   are not listed anywhere are the same in both.
 * @param {Record<string, unknown>} [parts.fixed] name in the view: its value, which never changes
 * @param {Record<string, Computed>} [parts.computed] name in the view: how it follows from the model
 * @param {Record<string, (value: any) => void>} [parts.set] name in the view: what happens instead of
 *   an assignment to the model
 * @returns {Model}
 */
export function scope(model, { names = {}, fixed = {}, computed = {}, set = {} }) {
  /** @type {Map<string, Map<(...args: any[]) => void, string[]>>} */
  const heard = new Map();

  /** @param {string} event */
  const eventsOf = (event) => {
    if (!event.startsWith("change:")) return [event];
    const name = event.slice("change:".length);
    if (name in fixed) return [];
    const found = computed[name]?.from ?? [names[name] ?? name];
    return found.map((trait) => `change:${trait}`);
  };

  return {
    get(name) {
      if (name in fixed) return fixed[name];
      return computed[name] ? computed[name].get() : model.get(names[name] ?? name);
    },
    set(name, value) {
      if (set[name]) set[name](value);
      else if (name in fixed || name in computed) throw new Error(`${name} cannot be assigned here`);
      else model.set(names[name] ?? name, value);
    },
    save_changes: () => model.save_changes(),
    send: (content) => model.send(content),
    on(event, callback) {
      const events = eventsOf(event);
      for (const one of events) model.on(one, callback);
      if (!heard.has(event)) heard.set(event, new Map());
      heard.get(event)?.set(callback, events);
    },
    off(event, callback) {
      for (const one of heard.get(event)?.get(callback) ?? []) model.off(one, callback);
      heard.get(event)?.delete(callback);
    },
  };
}
