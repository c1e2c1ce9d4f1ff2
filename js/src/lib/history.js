/**
 * Proven bounds of the largest margin at the epsilons tried so far, and what follows for any other.
 *
 * The domains are nested: what is largest in one is no larger in those inside of it, and no smaller in
 * those around it. So an upper bound holds for every smaller epsilon, a lower bound for every larger one.
 */
export class History {
  /** @type {Float64Array} */
  #epsilons;
  /** @type {Float64Array[]} smallest upper bounds from each epsilon on */
  #upper;
  /** @type {Float64Array[]} largest lower bounds up to each epsilon */
  #lower;
  /** @type {number} */
  #n;

  /**
   * @param {number} n number of samples
   * @param {ArrayLike<number>} epsilons K of them, in any order
   * @param {ArrayLike<number>} upper K x n, one row after the other; NaN is no bound
   * @param {ArrayLike<number>} lower K x n
   */
  constructor(n, epsilons, upper, lower) {
    const fits = upper.length === n * epsilons.length && lower.length === n * epsilons.length;
    // Arrays that do not belong together say nothing.
    const order = fits ? Array.from(epsilons, (_, k) => k).filter((k) => Number(epsilons[k]) >= 0) : [];
    order.sort((a, b) => Number(epsilons[a]) - Number(epsilons[b]));
    this.#n = n;
    this.#epsilons = Float64Array.from(order, (k) => Number(epsilons[k]));
    this.#upper = accumulate([...order].reverse(), upper, n, (a, b) => a < b).reverse();
    this.#lower = accumulate(order, lower, n, (a, b) => a > b);
  }

  /**
   * @param {number} epsilon
   * @returns {{ upper: Float64Array, lower: Float64Array }} bounds of every sample, NaN where there is none
   */
  at(epsilon) {
    const from = this.#epsilons.findIndex((tried) => tried >= epsilon);
    const after = this.#epsilons.findIndex((tried) => tried > epsilon);
    const upTo = after < 0 ? this.#epsilons.length - 1 : after - 1;
    return {
      upper: this.#upper[from] ?? new Float64Array(this.#n).fill(NaN),
      lower: this.#lower[upTo] ?? new Float64Array(this.#n).fill(NaN),
    };
  }
}

/**
 * @param {readonly number[]} order of the rows
 * @param {ArrayLike<number>} bounds
 * @param {number} n
 * @param {(candidate: number, best: number) => boolean} better
 * @returns {Float64Array[]} the best of each column in the first rows, for each number of rows
 */
function accumulate(order, bounds, n, better) {
  let best = new Float64Array(n).fill(NaN);
  return order.map((row) => {
    best = best.map((known, k) => {
      const bound = Number(bounds[row * n + k]);
      return Number.isNaN(known) || better(bound, known) ? bound : known;
    });
    return best;
  });
}
