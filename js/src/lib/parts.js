import { h, icon } from "./dom.js";
import { VERDICTS, VERDICT_NAMES } from "./verdicts.js";

/** @import { VerdictName } from "./types.js" */

/**
 * A row with the number of samples of each verdict that occurs.
 *
 * @param {Record<VerdictName, number>} counts
 * @returns {HTMLElement[]}
 */
export function countChips(counts) {
  return VERDICT_NAMES.filter((name) => counts[name] > 0).map((name) =>
    h(
      "span",
      { class: `dcm-chip dcm-${name}`, title: VERDICTS[name].meaning },
      icon(VERDICTS[name].icon),
      h("b", {}, String(counts[name])),
      VERDICTS[name].plural,
    ),
  );
}

/**
 * An error with its traceback behind a disclosure.
 *
 * @param {string} message
 * @param {string} traceback
 * @returns {HTMLElement}
 */
export function errorBox(message, traceback) {
  const box = h("div", { class: "dcm-error", role: "alert" }, h("strong", {}, "Error. "), message);
  if (traceback) {
    box.append(
      h("details", {}, h("summary", {}, "Python traceback"), h("pre", { tabindex: 0 }, traceback)),
    );
  }
  return box;
}
