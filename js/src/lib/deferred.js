/** @import { Model } from "./types.js" */

/**
 * A model whose listeners hear of changes later, and of many changes once: what a chart needs to repaint after
 * the frame that shows what matters more, and not at all while nobody sees it.
 *
 * @param {Model} model
 * @param {(flush: () => void) => void} [schedule] calls `flush` later
 */
export function deferred(model, schedule = afterPaint) {
  /** @type {Set<(...args: any[]) => void>} */
  const waiting = new Set();
  /** @type {Map<string, Map<(...args: any[]) => void, () => void>>} */
  const heard = new Map();
  let visible = true;
  let scheduled = false;

  const flush = () => {
    scheduled = false;
    if (!visible) return;
    const now = [...waiting];
    waiting.clear();
    for (const callback of now) callback();
  };
  const wake = () => {
    if (scheduled || !visible || waiting.size === 0) return;
    scheduled = true;
    schedule(flush);
  };

  return {
    /** @param {boolean} seen whether anybody sees what listens */
    show(seen) {
      visible = seen;
      wake();
    },
    /** @type {Model} */
    model: {
      get: (name) => model.get(name),
      set: (name, value) => model.set(name, value),
      save_changes: () => model.save_changes(),
      send: (content) => model.send(content),
      on(event, callback) {
        const later = () => {
          waiting.add(callback);
          wake();
        };
        const known = heard.get(event) ?? new Map();
        heard.set(event, known.set(callback, later));
        model.on(event, later);
      },
      off(event, callback) {
        const later = heard.get(event)?.get(callback);
        if (later) model.off(event, later);
        heard.get(event)?.delete(callback);
        waiting.delete(callback);
      },
    },
  };
}

/** @param {() => void} work to be done when the next frame is painted */
function afterPaint(work) {
  requestAnimationFrame(() => setTimeout(work));
}
