import { deferred } from "../lib/deferred.js";
import { h, setAttributes, uniqueId } from "../lib/dom.js";
import { picture, savePng, saveSvg } from "../lib/export.js";

/** @import { Model, RenderProps } from "../lib/types.js" */

/**
 * @typedef {object} Panel
 * @property {string} id part of file names
 * @property {string} title
 * @property {(props: RenderProps) => () => void} view
 * @property {Model} model
 */

/**
 * The charts: all of them side by side where there is room, else one at a time behind tabs. Which of the two
 * it is, the style sheet decides.
 *
 * @param {{ el: HTMLElement, panels: readonly Panel[], note: () => string }} props `note` is the line below
 *   each exported picture
 */
export function explorerPanels({ el, panels, note }) {
  const tabs = panels.map(({ title }) =>
    h("button", { class: "dcm-tab", type: "button", role: "tab", id: uniqueId(), "data-lm-suppress-shortcuts": true }, title),
  );
  const bodies = panels.map(() => h("div", { class: "dcm-panel-body" }));
  const boxes = panels.map((panel, k) => {
    const id = uniqueId();
    const box = h(
      "div",
      { class: "dcm-panel", role: "tabpanel", id, "aria-labelledby": tabs[k]?.id ?? "" },
      h("div", { class: "dcm-panel-head" }, h("h3", { class: "dcm-panel-name" }, panel.title), exportMenu(panel, () => bodies[k], note)),
      /** @type {HTMLElement} */ (bodies[k]),
    );
    tabs[k]?.setAttribute("aria-controls", id);
    return box;
  });
  const list = h("div", { class: "dcm-tabs", role: "tablist", "aria-label": "Charts" }, ...tabs);

  /** @param {number} chosen */
  const show = (chosen) => {
    tabs.forEach((tab, k) => {
      setAttributes(tab, { "aria-selected": String(k === chosen), tabindex: k === chosen ? 0 : -1 });
      boxes[k]?.classList.toggle("dcm-behind", k !== chosen);
    });
  };

  list.addEventListener("click", (event) => {
    const k = tabs.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    if (k >= 0) show(k);
  });
  list.addEventListener("keydown", (event) => {
    const k = tabs.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const last = tabs.length - 1;
    const moves = { ArrowRight: k === last ? 0 : k + 1, ArrowLeft: k === 0 ? last : k - 1, Home: 0, End: last };
    if (k < 0 || !(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation();
    const next = moves[/** @type {keyof typeof moves} */ (event.key)];
    show(next);
    tabs[next]?.focus();
  });

  // Two stacks beside each other where all are shown: a tall chart leaves no hole below its neighbour.
  const stacks = [0, 1].map((side) => h("div", { class: "dcm-stack" }, ...boxes.filter((_, k) => k % 2 === side)));
  el.replaceChildren(list, h("div", { class: "dcm-panels" }, ...stacks));
  show(0);
  const cleanups = panels.map(({ view, model }, k) => {
    const body = /** @type {HTMLElement} */ (bodies[k]);
    // While the slider moves, the colours of the samples come first, then the charts; hidden ones wait.
    const chart = deferred(model);
    const observer = new ResizeObserver(() => chart.show(body.clientWidth > 0));
    observer.observe(body);
    const close = view({ model: chart.model, el: body });
    return () => {
      observer.disconnect();
      close();
    };
  });
  return () => {
    for (const cleanup of cleanups) cleanup();
  };
}

/**
 * @param {Panel} panel
 * @param {() => HTMLElement | undefined} body
 * @param {() => string} note
 */
function exportMenu(panel, body, note) {
  const svg = h("button", { class: "dcm-button", type: "button" }, "SVG");
  const png = h("button", { class: "dcm-button", type: "button" }, "PNG");
  const problem = h("span", { class: "dcm-export-error", role: "alert" });
  const draw = () => {
    const element = body();
    if (!element) throw new Error("This panel is empty.");
    return picture(element, `${panel.title}. ${note()}`);
  };
  /** @param {() => Promise<void> | void} save */
  const attempt = async (save) => {
    problem.textContent = "";
    try {
      await save();
    } catch (error) {
      problem.textContent = `Not saved: ${error instanceof Error ? error.message : error}`;
    }
  };
  svg.addEventListener("click", () => attempt(() => saveSvg(draw(), `${panel.id}.svg`)));
  png.addEventListener("click", () => attempt(() => savePng(draw(), `${panel.id}.png`)));
  svg.setAttribute("aria-label", `Save ${panel.title} as SVG`);
  png.setAttribute("aria-label", `Save ${panel.title} as PNG`);
  return h("div", { class: "dcm-export" }, h("span", { "aria-hidden": "true" }, "Save"), svg, png, problem);
}
