/**
 * Where a key moves the focus in a grid of samples.
 *
 * @param {string} key name of the key as in `KeyboardEvent.key`
 * @param {number} current focused sample, -1 for none
 * @param {number} count number of samples
 * @param {number} columns number of columns now on the screen
 * @param {number} [rows] number of rows that are visible at once, for the page keys
 * @returns {number | null} null if the key does not move
 */
export function moveSelection(key, current, count, columns, rows = 1) {
  if (count === 0) return null;
  const last = count - 1;
  if (key === "Home") return 0;
  if (key === "End") return last;
  const along = { ArrowRight: 1, ArrowLeft: -1 }[key];
  const down = { ArrowDown: 1, ArrowUp: -1, PageDown: rows, PageUp: -rows }[key];
  if (along === undefined && down === undefined) return null;
  if (current < 0) return 0;
  const from = Math.min(current, last);
  if (along) return Math.min(Math.max(from + along, 0), last);
  // In the same column, as far as it goes.
  const [most, least] = [Math.floor((last - from) / columns), -Math.floor(from / columns)];
  return from + columns * Math.min(Math.max(down ?? 0, least), most);
}

/**
 * The rows of a scrolled grid that are drawn: those on the screen and some around them.
 *
 * @param {number} top pixels scrolled away
 * @param {number} height pixels on the screen
 * @param {number} pitch pixels from row to row
 * @param {number} rows number of rows
 * @param {number} around rows drawn beyond each end
 * @returns {[number, number]} the first row and the one after the last
 */
export function visibleRows(top, height, pitch, rows, around) {
  if (!(pitch > 0)) return [0, Math.min(rows, 1)];
  const first = Math.floor(top / pitch) - around;
  const end = Math.ceil((top + height) / pitch) + around;
  return [Math.min(Math.max(first, 0), rows), Math.max(Math.min(end, rows), 0)];
}

/**
 * Where a grid must be scrolled to, so that a row is wholly on the screen.
 *
 * @param {number} row
 * @param {number} top pixels scrolled away now
 * @param {number} height pixels on the screen
 * @param {number} pitch pixels from row to row
 * @returns {number}
 */
export function scrollToRow(row, top, height, pitch) {
  const [start, end] = [row * pitch, (row + 1) * pitch];
  if (start < top || pitch > height) return start;
  return end > top + height ? end - height : top;
}
