/** @import { Knowledge, VerdictName } from "./types.js" */

/**
 * The verdict of one sample at one epsilon.
 *
 * The domains are nested, so a proof holds for every smaller epsilon and a counterexample for every
 * larger one. "unknown" is said of the very epsilon that was tried, and of all between two radii that were searched
 * for; everything else is pending.
 * `decomon_widgets.knowledge` holds the same rule for Python.
 *
 * @param {Knowledge} knowledge
 * @param {number} sample
 * @param {number} epsilon
 * @returns {VerdictName}
 */
export function shownVerdict(knowledge, sample, epsilon) {
  if (knowledge.misclassified[sample]) return "misclassified";
  const certified = /** @type {number} */ (knowledge.certified[sample]);
  const falsified = /** @type {number} */ (knowledge.falsified[sample]);
  if (epsilon <= certified) return "robust";
  if (epsilon >= falsified) return "non_robust";
  return epsilon === knowledge.tried[sample] || knowledge.refined?.[sample] ? "unknown" : "pending";
}
