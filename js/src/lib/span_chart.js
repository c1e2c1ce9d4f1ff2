import { readFloat64 } from "./binary.js";
import { bottomAxis, leftAxis, linear, onDrag, onWidth } from "./chart.js";
import { h, s, setAttributes, uniqueId } from "./dom.js";
import { readEntry } from "./numbers.js";
import { errorBox } from "./parts.js";
import { heights, moveSpan, moveSpanByKey, show } from "./span.js";

/** @import { Model } from "./types.js" */
/** @import { Scale } from "./chart.js" */
/** @import { Band, Handle, Span } from "./span.js" */

const MARGIN = { left: 54, right: 14, top: 10, bottom: 44 };
// Where a finger finds an end.
const GRIP = 28;

/** What the chart and its views read of a model. */
export const CURVE_TRAITS = [
  "interval",
  "x_range",
  "name",
  "busy",
  "error",
  "elapsed",
  "_traceback",
  "_x",
  "_y",
  "_edges",
  "_lower",
  "_upper",
  "_lower_slope",
  "_lower_offset",
  "_upper_slope",
  "_upper_offset",
  "_static",
];

/**
 * A function of one variable with a band on an interval whose ends can be dragged.
 *
 * @param {Model} model with `interval`, `x_range`, `_x`, `_y` and `_static`
 * @param {string} variable what stands below the axis
 */
export function spanChart(model, variable) {
  const clipId = uniqueId();
  const picture = h("div", { class: "dcm-span-picture" });
  const handles = {
    both: handle("both", "Interval, moved as a whole"),
    low: handle("low", "Lower end of the interval"),
    high: handle("high", "Upper end of the interval"),
  };
  const element = h("div", { class: "dcm-plot dcm-span" }, picture, handles.both, handles.low, handles.high);
  /** @type {Scale} */
  let scale = linear([0, 1], [0, 1]);
  /** @type {() => void} */
  let repaint = () => {};

  const span = () => /** @type {Span} */ (model.get("interval"));
  const range = () => /** @type {Span} */ (model.get("x_range"));

  /** @param {Span} next */
  const assign = (next) => {
    const [low, high] = span();
    if (next[0] === low && next[1] === high) return;
    model.set("interval", next);
    model.save_changes();
  };

  /**
   * @param {Handle} which
   * @param {string} label
   */
  function handle(which, label) {
    const one = h("div", {
      class: `dcm-handle dcm-handle-${which}`,
      role: "slider",
      tabindex: 0,
      "aria-label": label,
      "data-lm-suppress-shortcuts": "true",
    });
    let grabbed = 0;
    /** @param {PointerEvent} event */
    const value = (event) => scale.low + (pixel(event) - scale.at(scale.low)) / (scale.at(1) - scale.at(0));
    onDrag(one, {
      start(event) {
        grabbed = value(event) - (which === "high" ? span()[1] : span()[0]);
        one.focus();
        return true;
      },
      move: (event) => assign(moveSpan(which, span(), value(event) - grabbed, range())),
      end() {},
    });
    one.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const next = moveSpanByKey(event.key, which, span(), range());
      if (!next) return;
      event.preventDefault();
      event.stopPropagation();
      assign(next);
    });
    return one;
  }

  /** @param {PointerEvent} event */
  const pixel = (event) => event.clientX - element.getBoundingClientRect().left;

  const placeHandles = (/** @type {number} */ top, /** @type {number} */ bottom) => {
    const [low, high] = span();
    const places = { both: [low, high], low: [low, low], high: [high, high] };
    for (const which of /** @type {const} */ (["both", "low", "high"])) {
      const [left, right] = /** @type {Span} */ (places[which].map(scale.at));
      const grip = which === "both" ? 0 : GRIP;
      const one = handles[which];
      one.style.left = `${left - grip / 2}px`;
      one.style.width = `${right - left + grip}px`;
      one.style.top = `${top}px`;
      one.style.height = `${bottom - top}px`;
      one.hidden = Boolean(model.get("_static"));
      setAttributes(one, {
        "aria-valuemin": range()[0],
        "aria-valuemax": range()[1],
        "aria-valuenow": which === "high" ? high : low,
        "aria-valuetext": which === "both" ? `${show(low)} to ${show(high)}` : show(which === "low" ? low : high),
      });
    }
  };

  return {
    element,
    /**
     * @param {Band} band
     * @param {string} description of the picture, in words
     * @returns {boolean} whether a part of the band lies outside of the picture
     */
    paint(band, description) {
      const width = Math.max(240, element.clientWidth || 600);
      const height = Math.round(Math.min(360, Math.max(240, 0.5 * width)));
      const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom];
      const y = readFloat64(model.get("_y"));
      const shown = heights(y, band);
      scale = linear(range(), [MARGIN.left, right]);
      const vertical = linear([shown.low, shown.high], [bottom, MARGIN.top]);
      const svg = s(
        "svg",
        { class: "dcm-svg", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description },
        s(
          "defs",
          {},
          s(
            "clipPath",
            { id: clipId },
            s("rect", { x: MARGIN.left, y: MARGIN.top, width: right - MARGIN.left, height: bottom - MARGIN.top }),
          ),
        ),
        leftAxis(vertical, MARGIN.left, right, "", show),
        bottomAxis(scale, bottom, variable, width, show),
      );
      const [low, high] = span().map(scale.at);
      const inside = s("g", { "clip-path": `url(#${clipId})` });
      inside.append(
        s("rect", {
          class: "dcm-span-region",
          x: Number(low),
          y: MARGIN.top,
          width: Number(high) - Number(low),
          height: bottom - MARGIN.top,
        }),
        ...paintBand(band, scale, vertical),
        s("path", { class: "dcm-function", d: linePath(readFloat64(model.get("_x")), y, scale, vertical) }),
      );
      for (const end of [low, high]) {
        inside.append(s("line", { class: "dcm-span-end", x1: Number(end), x2: Number(end), y1: MARGIN.top, y2: bottom }));
      }
      svg.append(inside);
      if (!model.get("_static")) {
        for (const end of [low, high]) {
          svg.append(s("rect", { class: "dcm-grip", x: Number(end) - 4, y: bottom - 26, width: 8, height: 18, rx: 3 }));
        }
      }
      picture.replaceChildren(svg);
      placeHandles(MARGIN.top, bottom);
      return shown.cut;
    },
    /**
     * @param {() => void} paint called whenever the width changes
     * @returns {() => void} stops
     */
    follow(paint) {
      repaint = paint;
      return onWidth(element, () => repaint());
    },
  };
}

/**
 * @param {Float64Array} x
 * @param {Float64Array} y points that are not finite leave a gap
 * @param {Scale} horizontal
 * @param {Scale} vertical
 */
function linePath(x, y, horizontal, vertical) {
  let path = "";
  let pen = "M";
  x.forEach((place, k) => {
    const height = Number(y[k]);
    if (!Number.isFinite(height)) {
      pen = "M";
      return;
    }
    path += `${pen}${horizontal.at(place).toFixed(2)} ${vertical.at(height).toFixed(2)}`;
    pen = "L";
  });
  return path;
}

/**
 * @param {Band} band
 * @param {Scale} horizontal
 * @param {Scale} vertical
 */
function paintBand({ edges, lower, upper }, horizontal, vertical) {
  let [area, above, below, cuts] = ["", "", "", ""];
  for (let k = 0; k + 1 < edges.length; k += 1) {
    const [left, right] = [edges[k], edges[k + 1]].map((edge) => horizontal.at(Number(edge)).toFixed(2));
    /** @param {Float64Array} side */
    const ends = (side) => [side[2 * k], side[2 * k + 1]].map((value) => vertical.at(Number(value)).toFixed(2));
    const [low, high] = [ends(lower), ends(upper)];
    area += `M${left} ${low[0]}L${left} ${high[0]}L${right} ${high[1]}L${right} ${low[1]}Z`;
    above += `M${left} ${high[0]}L${right} ${high[1]}`;
    below += `M${left} ${low[0]}L${right} ${low[1]}`;
    if (k > 0) cuts += `M${left} ${low[0]}L${left} ${high[0]}`;
  }
  return [
    s("path", { class: "dcm-band", d: area }),
    s("path", { class: "dcm-cut", d: cuts }),
    s("path", { class: "dcm-above", d: above }),
    s("path", { class: "dcm-below", d: below }),
  ];
}

/**
 * Two fields in which the ends of the interval can be typed.
 *
 * @param {Model} model with `interval`, `x_range` and `_static`
 */
export function spanEntries(model) {
  const errorId = uniqueId();
  const message = h("div", { class: "dcm-entry-error", id: errorId, role: "alert" });
  const fields = /** @type {const} */ ([0, 1]).map((end) => {
    const field = h("input", {
      class: "dcm-entry",
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": end === 0 ? "lower end, typed" : "upper end, typed",
      "aria-describedby": errorId,
    });
    const restore = () => {
      field.value = show(Number(model.get("interval")[end]));
      message.textContent = "";
      setAttributes(field, { "aria-invalid": false });
    };
    const submit = () => {
      const span = /** @type {Span} */ ([...model.get("interval")]);
      // Rounded for the eye: what was not edited is not assigned.
      if (field.value === show(span[end])) return restore();
      const [first, last] = /** @type {Span} */ (model.get("x_range"));
      const result = readEntry(field.value.replaceAll("−", "-"), first, last, show);
      let error = "error" in result ? result.error : "";
      if ("value" in result) {
        span[end] = result.value;
        if (span[0] >= span[1]) error = `The lower end must be below the upper end. Received “${field.value.trim()}”.`;
      }
      message.textContent = error;
      setAttributes(field, { "aria-invalid": error ? "true" : false });
      if (error) return;
      model.set("interval", span);
      model.save_changes();
    };
    field.addEventListener("change", submit);
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") submit();
      else if (event.key === "Escape") restore();
    });
    return { field, restore };
  });
  const element = h(
    "span",
    { class: "dcm-control" },
    "from ",
    /** @type {HTMLElement} */ (fields[0]?.field),
    " to ",
    /** @type {HTMLElement} */ (fields[1]?.field),
  );
  return {
    element,
    message,
    paint() {
      for (const { field, restore } of fields) {
        field.disabled = Boolean(model.get("_static"));
        // What somebody is typing stays.
        if (field !== field.ownerDocument.activeElement || !field.matches("[aria-invalid]")) restore();
      }
    },
  };
}

/**
 * A sample of how something is drawn, and its name.
 *
 * @param {string} kind class of the line or of the area
 * @param {string} text
 */
export function legendEntry(kind, text) {
  const swatch = s("svg", { class: "dcm-swatch", viewBox: "0 0 22 10", "aria-hidden": "true" });
  swatch.append(
    kind === "dcm-band"
      ? s("rect", { class: kind, x: 0, y: 0, width: 22, height: 10 })
      : s("path", { class: kind, d: "M0 5L22 5" }),
  );
  return h("span", { class: "dcm-legend-entry" }, swatch, h("span", {}, text));
}

/**
 * A list to choose from.
 *
 * @param {Model} model
 * @param {string} name of the trait that is chosen
 * @param {string} all of the trait with all choices
 */
export function choice(model, name, all) {
  const select = h("select", {});
  select.addEventListener("change", () => {
    model.set(name, select.value);
    model.save_changes();
  });
  let offered = "";
  return {
    select,
    /** @param {boolean} [usable] */
    paint(usable = true) {
      const options = /** @type {string[]} */ (model.get(all));
      if (offered !== options.join()) {
        offered = options.join();
        select.replaceChildren(...options.map((value) => h("option", { value }, value)));
      }
      select.value = String(model.get(name));
      select.disabled = !usable || Boolean(model.get("_static"));
    },
  };
}

/**
 * Where the error of a model is shown.
 *
 * @param {Model} model with `error` and `_traceback`
 */
export function errorPlace(model) {
  const element = h("div");
  let shown = "";
  return {
    element,
    paint() {
      const [message, traceback] = [String(model.get("error")), String(model.get("_traceback"))];
      // Left alone when unchanged, so that an opened traceback stays open.
      if (shown === message + traceback) return;
      shown = message + traceback;
      element.replaceChildren(...(message ? [errorBox(message, traceback)] : []));
    },
  };
}
