/**
 * What samples are sorted by, one value each.
 *
 * @typedef {object} SortKeys
 * @property {readonly string[]} names all verdicts, in the order of display
 * @property {readonly string[]} verdicts
 * @property {ArrayLike<number>} labels
 * @property {ArrayLike<number>} certified
 * @property {ArrayLike<number>} falsified
 * @property {ArrayLike<number>} upper
 */

/** The orders that a grid offers; the keys are the values of the trait `sort_by`. */
export const SORTS = {
  position: "position",
  verdict: "verdict",
  radius: "certified radius",
  label: "label",
  margin: "margin bound",
};

/**
 * Positions of the samples that pass the filter, in the order of display. Equal samples stay in
 * their order, and those without a value come last. `decomon_widgets._grid_view` does the same.
 *
 * @param {string} sortBy a key of `SORTS`
 * @param {boolean} descending
 * @param {readonly string[]} shown the verdicts that pass; empty: all
 * @param {SortKeys} keys
 * @returns {number[]}
 */
export function viewOrder(sortBy, descending, shown, keys) {
  const { names, verdicts, labels, certified, falsified, upper } = keys;
  const positions = Array.from(verdicts.keys()).filter((k) => shown.length === 0 || shown.includes(verdicts[k] ?? ""));
  /** @type {Record<string, ArrayLike<number>[]>} the first decides, then the next */
  const columns = {
    verdict: [verdicts.map((verdict) => names.indexOf(verdict))],
    radius: [certified, falsified],
    label: [labels],
    margin: [upper],
  };
  const deciding = columns[sortBy];
  if (!deciding) return descending ? positions.reverse() : positions;
  const sign = descending ? -1 : 1;
  return positions.sort((a, b) => {
    for (const column of deciding) {
      const [one, two] = [column[a] ?? NaN, column[b] ?? NaN];
      const missing = Number(Number.isNaN(one)) - Number(Number.isNaN(two));
      if (missing !== 0) return missing;
      if (one < two) return -sign;
      if (one > two) return sign;
    }
    return a - b;
  });
}
