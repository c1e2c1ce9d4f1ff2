/**
 * Round numbers inside an interval, about `wanted` of them, for the ticks of an axis.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} wanted
 * @returns {number[]}
 */
export function niceTicks(low, high, wanted) {
  if (!(high > low) || !Number.isFinite(high - low) || wanted < 1) return [];
  const step = niceStep((high - low) / wanted);
  const ticks = [];
  // Counted in whole steps, which does not accumulate rounding errors.
  for (let k = Math.ceil(low / step); k <= Math.floor(high / step); k += 1) {
    ticks.push(k === 0 ? 0 : Number((k * step).toPrecision(12)));
  }
  return ticks;
}

/**
 * @param {number} rough
 * @returns {number} the smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below `rough`
 */
export function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 2.5, 5].find((candidate) => candidate * power >= rough * (1 - 1e-9)) ?? 10;
  return factor * power;
}
