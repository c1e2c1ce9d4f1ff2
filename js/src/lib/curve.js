/**
 * What is known of the radii of some samples: arrays over the samples.
 *
 * @typedef {object} Radii
 * @property {ArrayLike<number>} certified largest radius proven, -Infinity for none
 * @property {ArrayLike<number>} falsified smallest radius with a counterexample, Infinity for none
 * @property {ArrayLike<number>} misclassified 1 where the unperturbed sample is already wrong
 */

/**
 * Between which numbers of correct samples the truth lies.
 *
 * @typedef {object} Counts
 * @property {number} certified proven to keep their class
 * @property {number} attacked no counterexample is known of
 * @property {number} total
 */

/** In place of whether a sample is misclassified, where a series has fewer samples than another. */
const ABSENT = 2;

/**
 * Splits the arrays of several models or methods into one set of radii each.
 *
 * @param {number} series how many
 * @param {ArrayLike<number>} certified one series after the other
 * @param {ArrayLike<number>} falsified
 * @param {ArrayLike<number>} misclassified
 * @returns {Radii[]}
 */
export function splitRadii(series, certified, falsified, misclassified) {
  const n = series > 0 ? Math.floor(Math.min(certified.length, falsified.length, misclassified.length) / series) : 0;
  return Array.from({ length: series }, (_, k) => {
    /** @param {ArrayLike<number>} values */
    const part = (values) => {
      const all = /** @type {number[]} */ (Array.prototype.slice.call(values, k * n, (k + 1) * n));
      return all.filter((__, sample) => misclassified[k * n + sample] !== ABSENT);
    };
    return { certified: part(certified), falsified: part(falsified), misclassified: part(misclassified) };
  });
}

/**
 * The two accuracies at one epsilon, as numbers of samples. A radius that is NaN proves nothing.
 * `decomon_widgets.curve` holds the same rule for Python.
 *
 * @param {Radii} radii
 * @param {number} epsilon
 * @returns {Counts}
 */
export function countsAt({ certified, falsified, misclassified }, epsilon) {
  const counts = { certified: 0, attacked: 0, total: certified.length };
  for (let k = 0; k < certified.length; k += 1) {
    if (misclassified[k]) continue;
    const proven = epsilon <= /** @type {number} */ (certified[k]);
    const refuted = epsilon >= /** @type {number} */ (falsified[k]);
    if (proven) counts.certified += 1;
    if (!refuted) counts.attacked += 1;
  }
  return counts;
}

/**
 * A step function from 0 to some end.
 *
 * @typedef {object} Steps
 * @property {number[]} at where it falls, ascending, inside of the range
 * @property {number[]} counts on the pieces between: one more than `at`
 */

/**
 * Both curves. The certified one falls behind a radius, the attacked one at a radius.
 *
 * @param {Radii} radii
 * @param {number} max right end
 * @returns {{ certified: Steps, attacked: Steps }}
 */
export function stepCurves(radii, max) {
  const start = countsAt(radii, 0);
  const right = (/** @type {unknown} */ _, /** @type {number} */ k) => !radii.misclassified[k];
  const certified = Array.from(radii.certified).filter(right).filter((radius) => radius >= 0);
  const falsified = Array.from(radii.falsified).filter(right).filter((radius) => radius > 0);
  return {
    certified: fall(start.certified, certified, max),
    attacked: fall(start.attacked, falsified, max),
  };
}

/**
 * @param {number} count at the left end
 * @param {number[]} radii at each of which it falls by one
 * @param {number} max
 * @returns {Steps}
 */
function fall(count, radii, max) {
  /** @type {Steps} */
  const steps = { at: [], counts: [count] };
  for (const radius of radii.filter((one) => one < max).sort((a, b) => a - b)) {
    count -= 1;
    if (steps.at[steps.at.length - 1] === radius) steps.counts[steps.counts.length - 1] = count;
    else {
      steps.at.push(radius);
      steps.counts.push(count);
    }
  }
  return steps;
}

/**
 * The corners of a step function, from left to right.
 *
 * @param {Steps} steps
 * @param {number} max right end
 * @returns {[number, number][]} epsilon and count
 */
export function corners({ at, counts }, max) {
  /** @type {[number, number][]} */
  const points = [[0, counts[0] ?? 0]];
  at.forEach((radius, k) => {
    points.push([radius, counts[k] ?? 0], [radius, counts[k + 1] ?? 0]);
  });
  points.push([max, counts[counts.length - 1] ?? 0]);
  return points;
}
