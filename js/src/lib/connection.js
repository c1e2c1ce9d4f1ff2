/** @import { Model } from "./types.js" */

/**
 * Watches whether the kernel still answers.
 *
 * When a kernel is gone (restarted, say), and in a notebook that was opened without it, Jupyter's widget manager
 * sets `comm_live` of every model and fires an event that does not say which way. A view does not see that property
 * of its own model, but it does of its layout, which is a model of the same kernel. Some front ends mark the element
 * of the view as well. Where there is none of this, nothing is said.
 *
 * @param {Model} model
 * @param {HTMLElement} el of the view
 * @param {(lost: boolean) => void} tell also at once, with the present state
 * @returns {() => void} stops
 */
export function watchConnection(model, el, tell) {
  const look = () => {
    const marked = el.closest(".jupyter-widgets-disconnected") !== null;
    tell(marked || model.get("layout")?.comm_live === false);
  };
  // The manager comes to the layout, and other listeners to the mark, only after this model.
  const lookSoon = () => queueMicrotask(look);
  const closed = () => tell(true);
  model.on("comm_live_update", lookSoon);
  model.on("comm:close", closed);
  look();
  return () => {
    model.off("comm_live_update", lookSoon);
    model.off("comm:close", closed);
  };
}
