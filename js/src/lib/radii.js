import { formatNumber } from "./numbers.js";

/**
 * A radius with four digits, rounded to the side on which the sentence about it stays true.
 *
 * @param {number} value
 * @param {"down" | "up"} side
 * @returns {string}
 */
export function formatRadius(value, side) {
  const text = formatNumber(value, ".4g");
  const excess = (Number(text) - value) * (side === "down" ? 1 : -1);
  // A decimal number such as 0.03 is not shifted because of its last bit.
  if (!(excess > 1e-12 * Math.abs(value))) return text;
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 3);
  return formatNumber(Number(text) + (side === "down" ? -unit : unit), ".4g");
}

/**
 * What the two radii of a sample say.
 *
 * @param {number} certified largest epsilon proven robust, -Infinity for none
 * @param {number} falsified smallest epsilon with a counterexample, Infinity for none
 * @returns {string} "" if they say nothing
 */
export function radiusSentence(certified, falsified) {
  const low = certified >= 0 ? formatRadius(certified, "down") : "";
  const high = Number.isFinite(falsified) ? formatRadius(falsified, "up") : "";
  if (low && high) return `Radius in [${low}, ${high}): proven up to the first, refuted from the second.`;
  if (low) return `Radius at least ${low}: proven.`;
  return high ? `Radius below ${high}: refuted.` : "";
}
