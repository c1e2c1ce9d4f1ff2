import { s, uniqueId } from "./dom.js";
import { VERDICT_NAMES } from "./verdicts.js";

/** @import { VerdictName } from "./types.js" */

/** What is drawn on the ground of each verdict, so that the fills differ without any colour. */
const MARKS = /** @type {Record<VerdictName, { size: number, path: string, width: number } | null>} */ ({
  robust: null,
  non_robust: { size: 7, path: "M-1 8L8 -1M-2 2L2 -2M5 9L9 5", width: 3 },
  unknown: { size: 6, path: "M1.5 1.5h.01M4.5 4.5h.01", width: 2.6 },
  misclassified: { size: 6, path: "M0 3h6M3 0v6", width: 1.6 },
  pending: { size: 6, path: "M0 3h6", width: 1 },
});

/**
 * The fills of the verdicts for the bars of a chart.
 *
 * @returns {{ defs: SVGElement, fill: Record<VerdictName, string> }} `defs` belongs into the picture,
 *   `fill` is the value of the attribute `fill`
 */
export function verdictFills() {
  const defs = s("defs");
  const fill = /** @type {Record<VerdictName, string>} */ ({});
  for (const name of VERDICT_NAMES) {
    const id = uniqueId();
    const marks = MARKS[name];
    const size = marks?.size ?? 6;
    const pattern = s(
      "pattern",
      { id, class: `dcm-${name}`, width: size, height: size, patternUnits: "userSpaceOnUse" },
      s("rect", { class: marks ? "dcm-hatch-ground" : "dcm-hatch-full", width: size, height: size }),
    );
    if (marks) pattern.append(s("path", { class: "dcm-hatch-line", d: marks.path, "stroke-width": marks.width }));
    defs.append(pattern);
    fill[name] = `url(#${id})`;
  }
  return { defs, fill };
}
