/**
 * Where a key moves the focus in a grid of samples.
 *
 * @param {string} key name of the key as in `KeyboardEvent.key`
 * @param {number} current focused sample, -1 for none
 * @param {number} count number of samples
 * @param {number} columns number of columns now on the screen
 * @returns {number | null} null if the key does not move
 */
export function moveSelection(key, current, count, columns) {
  if (count === 0) return null;
  const last = count - 1;
  const from = Math.min(Math.max(current, 0), last);
  switch (key) {
    case "ArrowRight":
      return current < 0 ? 0 : Math.min(from + 1, last);
    case "ArrowLeft":
      return current < 0 ? 0 : Math.max(from - 1, 0);
    case "ArrowDown":
      return current < 0 ? 0 : from + columns <= last ? from + columns : from;
    case "ArrowUp":
      return current < 0 ? 0 : from - columns >= 0 ? from - columns : from;
    case "Home":
      return 0;
    case "End":
      return last;
    default:
      return null;
  }
}
