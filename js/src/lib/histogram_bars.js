import { niceStep, niceTicks } from "./axis.js";
import { h, icon, s } from "./dom.js";
import { formatNumber } from "./numbers.js";
import { VERDICTS, VERDICT_NAMES, countVerdicts, countsSentence } from "./verdicts.js";

/** @import { VerdictName } from "./types.js" */
/** @import { Bound } from "./bins.js" */
/** @import { Scale } from "./chart.js" */

export const MARGIN = { left: 46, right: 14, top: 24, bottom: 42 };
/** Height of the bars of one bound. */
export const PANEL = 92;
const GAP = 32;
export const HEIGHT = MARGIN.top + 2 * PANEL + GAP + MARGIN.bottom;
/** Top of the bars of each bound. */
export const TOPS = { upper: MARGIN.top, lower: MARGIN.top + PANEL + GAP };

/**
 * One bin of a panel, an option of its list: the bar, and all of its height to point at.
 *
 * @param {Bound} bound
 * @param {Record<string, number>} bin number of samples of each verdict
 * @param {Record<string, number>} part those of them that are selected
 * @param {{ x: Scale, y: Scale, low: number, high: number }} place scales, and the edges of the bin
 * @param {Record<VerdictName, string>} fill
 */
export function binOption(bound, bin, part, { x, y, low, high }, fill) {
  const left = x.at(low) + 1;
  const breadth = Math.max(1, x.at(high) - x.at(low) - 2);
  const range = `${formatNumber(low, ".4g")} to ${formatNumber(high, ".4g")}`;
  const text = `${bound} bound from ${range}: ${total(bin)}`;
  const parts = total(bin) > 0 ? ` (${countsSentence({ ...countVerdicts([]), ...bin })})` : "";
  const option = s("g", {
    class: "dcm-bin",
    role: "option",
    "aria-label": text + parts,
    "aria-selected": String(total(bin) > 0 && total(part) === total(bin)),
  });
  option.append(
    s("title", {}, text + parts),
    s("rect", { class: "dcm-slot", x: x.at(low), y: 0, width: x.at(high) - x.at(low), height: PANEL }),
  );
  let below = 0;
  for (const name of VERDICT_NAMES) {
    // The selected ones stand at the bottom of their part of the bar.
    for (const [n, kind] of /** @type {const} */ ([
      [part[name] ?? 0, "dcm-chosen"],
      [(bin[name] ?? 0) - (part[name] ?? 0), "dcm-others"],
    ])) {
      if (n === 0) continue;
      const top = y.at(below + n);
      option.append(
        s("rect", {
          class: `dcm-column dcm-${name} ${kind}`,
          x: left,
          y: top,
          width: breadth,
          height: y.at(below) - top,
          fill: fill[name],
          "data-count": n,
        }),
      );
      below += n;
    }
  }
  return option;
}

/**
 * Number of samples in a bin.
 *
 * @param {Record<string, number> | undefined} bin
 */
export function total(bin) {
  return bin ? VERDICT_NAMES.reduce((sum, name) => sum + (bin[name] ?? 0), 0) : 0;
}

/**
 * Lines across a panel, with their numbers of samples.
 *
 * @param {Scale} y
 * @param {number} top
 * @param {number} width
 */
export function gridLines(y, top, width) {
  // Whole numbers only: these are samples.
  const step = Math.max(1, Math.ceil(niceStep(y.high / 3)));
  return niceTicks(0, y.high, y.high / step).flatMap((count) => {
    const at = top + y.at(count);
    return [
      s("line", { class: "dcm-grid-line", x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }),
      s("text", { class: "dcm-tick", x: MARGIN.left - 6, y: at + 4, "text-anchor": "end" }, String(count)),
    ];
  });
}

export function verticalTitle() {
  const middle = (MARGIN.top + HEIGHT - MARGIN.bottom) / 2;
  return s(
    "text",
    { class: "dcm-axis-title", transform: `translate(12 ${middle}) rotate(-90)`, "text-anchor": "middle" },
    "samples",
  );
}

/**
 * Number, icon and fill of each verdict that occurs: counts and legend in one.
 *
 * @param {Record<VerdictName, number>} counts
 * @param {Record<VerdictName, string>} fill
 */
export function legendChips(counts, fill) {
  return VERDICT_NAMES.filter((name) => counts[name] > 0).map((name) => {
    const swatch = s("svg", { class: "dcm-swatch", viewBox: "0 0 20 14", "aria-hidden": "true" });
    swatch.append(s("rect", { class: "dcm-column", x: 1, y: 1, width: 18, height: 12, fill: fill[name] }));
    return h(
      "span",
      { class: `dcm-chip dcm-${name}`, title: VERDICTS[name].meaning },
      swatch,
      icon(VERDICTS[name].icon),
      h("b", {}, String(counts[name])),
      VERDICTS[name].plural,
    );
  });
}
