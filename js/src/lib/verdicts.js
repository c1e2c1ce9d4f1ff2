import table from "../../../decomon_widgets/verdicts.json";
import { shownVerdict } from "./knowledge.js";

/** @import { Knowledge, VerdictName, VerdictStyle } from "./types.js" */

/** The vocabulary shared with Python: one entry per verdict, in the order of display. */
export const VERDICTS = /** @type {Record<VerdictName, VerdictStyle>} */ (table);

export const VERDICT_NAMES = /** @type {VerdictName[]} */ (Object.keys(table));

/**
 * The verdict of every sample at one epsilon.
 *
 * @param {Knowledge} knowledge
 * @param {number} epsilon
 * @returns {VerdictName[]}
 */
export function shownVerdicts(knowledge, epsilon) {
  return Array.from(knowledge.certified, (_, sample) => shownVerdict(knowledge, sample, epsilon));
}

/**
 * @param {readonly string[]} verdicts
 * @returns {Record<VerdictName, number>} how many samples have each verdict
 */
export function countVerdicts(verdicts) {
  const counts = { robust: 0, non_robust: 0, unknown: 0, misclassified: 0, pending: 0 };
  for (const verdict of verdicts) {
    if (verdict in counts) counts[/** @type {VerdictName} */ (verdict)] += 1;
  }
  return counts;
}

/**
 * One sentence for the live region.
 *
 * @param {Record<VerdictName, number>} counts
 * @returns {string} for example "6 robust, 1 non robust, 3 maybe robust"
 */
export function countsSentence(counts) {
  const parts = VERDICT_NAMES.filter((name) => counts[name] > 0).map(
    (name) => `${counts[name]} ${VERDICTS[name].plural}`,
  );
  return parts.length ? parts.join(", ") : "no samples";
}
