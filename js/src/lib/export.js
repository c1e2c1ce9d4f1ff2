import { s, uniqueId } from "./dom.js";

/** What of the computed style an SVG element needs to look the same elsewhere. */
const PAINT = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-opacity",
  "stroke-dasharray",
  "stroke-linecap",
  "stroke-linejoin",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
  "dominant-baseline",
  "paint-order",
  "visibility",
];
/** Controls, and what is said to somebody who uses them. */
const LEFT_OUT =
  "button, input, select, textarea, details, [role=tooltip], .dcm-hidden, .dcm-hint, .dcm-readout, .dcm-tools";
const PADDING = 12;
const LINE = 16;

/**
 * A drawing of a part of the page that stands by itself: SVG inside of it is copied with its style, text and
 * frames of HTML are drawn again, canvases become images. Controls are left out.
 *
 * @param {HTMLElement} element which is now in the page and visible
 * @param {string} note a line below, broken where it is too long
 * @returns {SVGSVGElement}
 */
export function picture(element, note) {
  const origin = element.getBoundingClientRect();
  if (origin.width === 0) throw new Error("It is not visible now.");
  const width = Math.ceil(origin.width) + 2 * PADDING;
  const drawn = s("g", { transform: `translate(${PADDING - origin.left} ${PADDING - origin.top})` });
  drawChildren(element, drawn);
  const style = getComputedStyle(element);
  const below = Math.ceil(origin.height) + 2 * PADDING;
  const lines = breakLines(note, Math.max(20, Math.floor((width - 2 * PADDING) / 6)));
  const height = below + lines.length * LINE + PADDING;
  const svg = s(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}` },
    s("rect", { width, height, fill: groundOf(element) }),
    drawn,
  );
  lines.forEach((line, k) => {
    const y = below + k * LINE + 8;
    svg.append(s("text", { x: PADDING, y, fill: style.color, "font-family": style.fontFamily, "font-size": 11 }, line));
  });
  return svg;
}

/**
 * @param {string} text
 * @param {number} most characters in a line
 * @returns {string[]}
 */
export function breakLines(text, most) {
  /** @type {string[]} */
  const lines = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > most) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}

/**
 * The colour behind an element: that of the first ancestor which has one.
 *
 * @param {Element} element
 * @returns {string}
 */
function groundOf(element) {
  for (let at = /** @type {Element | null} */ (element); at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (colour !== "transparent" && !/,\s*0\)$|\/\s*0\)$/.test(colour)) return colour;
  }
  return "white";
}

/**
 * @param {Element} parent
 * @param {SVGElement} into in coordinates of the window
 */
function drawChildren(parent, into) {
  for (const node of parent.childNodes) {
    if (node instanceof Text) drawText(node, into);
    else if (node instanceof SVGSVGElement) drawSvg(node, into);
    else if (node instanceof HTMLElement) drawElement(node, into);
  }
}

/**
 * @param {HTMLElement} element
 * @param {SVGElement} into
 */
function drawElement(element, into) {
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const leftOut = element.matches(LEFT_OUT);
  if (leftOut || style.display === "none" || style.visibility === "hidden" || box.width <= 1) return;
  const group = s("g", style.opacity === "1" ? {} : { opacity: style.opacity });
  drawBox(box, style, group);
  if (element instanceof HTMLCanvasElement) {
    const { left: x, top: y, width, height } = box;
    const image = s("image", { href: element.toDataURL(), x, y, width, height, preserveAspectRatio: "none" });
    image.style.imageRendering = style.imageRendering;
    group.append(image);
  } else drawChildren(element, group);
  if (group.childNodes.length > 0) into.append(group);
}

/**
 * @param {DOMRect} box
 * @param {CSSStyleDeclaration} style
 * @param {SVGElement} into
 */
function drawBox(box, style, into) {
  if (!/,\s*0\)$|\/\s*0\)$|^transparent$/.test(style.backgroundColor)) {
    into.append(s("rect", { x: box.left, y: box.top, width: box.width, height: box.height, fill: style.backgroundColor }));
  }
  drawGradient(box, style.backgroundImage, into);
  const thick = parseFloat(style.borderTopWidth);
  if (!(thick > 0) || style.borderTopStyle === "none" || style.borderLeftWidth !== style.borderTopWidth) return;
  const dashes = { dashed: `${2 * thick} ${thick}`, dotted: `${thick} ${thick}` }[style.borderTopStyle];
  // A double frame is two thin ones.
  const frames = style.borderTopStyle === "double" ? [thick / 6, (5 * thick) / 6] : [thick / 2];
  for (const inset of frames) {
    into.append(
      s("rect", {
        x: box.left + inset,
        y: box.top + inset,
        width: Math.max(0, box.width - 2 * inset),
        height: Math.max(0, box.height - 2 * inset),
        fill: "none",
        stroke: style.borderTopColor,
        "stroke-width": frames.length > 1 ? thick / 3 : thick,
        ...(dashes ? { "stroke-dasharray": dashes } : {}),
      }),
    );
  }
}

/**
 * A colour scale keeps its colours; a pattern of stripes becomes plain.
 *
 * @param {DOMRect} box
 * @param {string} image computed `background-image`
 * @param {SVGElement} into
 */
function drawGradient(box, image, into) {
  const [first, ...others] = image.match(/(?:rgba?|color|oklab|oklch)\([^)]*\)/g) ?? [];
  if (!first) return;
  let fill = first;
  if (!image.startsWith("repeating")) {
    const id = uniqueId();
    fill = `url(#${id})`;
    const stops = [first, ...others].map((colour, k) => s("stop", { offset: k / Math.max(1, others.length), "stop-color": colour }));
    into.append(s("linearGradient", { id }, ...stops));
  }
  into.append(s("rect", { x: box.left, y: box.top, width: box.width, height: box.height, fill }));
}

/**
 * @param {Text} node
 * @param {SVGElement} into
 */
function drawText(node, into) {
  const parent = node.parentElement;
  if (!parent || node.data.trim() === "") return;
  const style = getComputedStyle(parent);
  const range = document.createRange();
  const size = parseFloat(style.fontSize);
  for (const { text, box } of linesOf(node, range)) {
    into.append(
      s(
        "text",
        {
          x: box.left,
          y: box.top + box.height / 2 + 0.35 * size,
          fill: style.color,
          "font-family": style.fontFamily,
          "font-size": size,
          "font-weight": style.fontWeight,
        },
        text,
      ),
    );
  }
}

/**
 * The pieces of a text as they are broken on the screen.
 *
 * @param {Text} node
 * @param {Range} range
 * @returns {{ text: string, box: DOMRect }[]}
 */
function linesOf(node, range) {
  /** @type {{ text: string, box: DOMRect }[]} */
  const lines = [];
  for (const { 0: word, index } of node.data.matchAll(/\S+/g)) {
    range.setStart(node, index);
    range.setEnd(node, index + word.length);
    const box = range.getBoundingClientRect();
    const last = lines.at(-1);
    if (last && Math.abs(last.box.top - box.top) < 2) last.text += ` ${word}`;
    else lines.push({ text: word, box });
  }
  return lines;
}

/**
 * @param {SVGSVGElement} svg
 * @param {SVGElement} into
 */
function drawSvg(svg, into) {
  const box = svg.getBoundingClientRect();
  if (box.width === 0) return;
  const copy = /** @type {SVGSVGElement} */ (svg.cloneNode(true));
  const originals = [svg, ...svg.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, k) => {
    const style = getComputedStyle(/** @type {Element} */ (originals[k]));
    for (const name of PAINT) element.setAttribute(name, style.getPropertyValue(name));
    element.removeAttribute("class");
    element.removeAttribute("style");
    if (style.display === "none") element.setAttribute("display", "none");
  });
  copy.setAttribute("x", String(box.left));
  copy.setAttribute("y", String(box.top));
  copy.setAttribute("width", String(box.width));
  copy.setAttribute("height", String(box.height));
  into.append(copy);
}

/** @param {SVGSVGElement} svg */
function toText(svg) {
  return new XMLSerializer().serializeToString(svg);
}

/**
 * Offers an SVG picture as a file.
 *
 * @param {SVGSVGElement} svg
 * @param {string} name of the file
 */
export function saveSvg(svg, name) {
  download(new Blob([toText(svg)], { type: "image/svg+xml" }), name);
}

/**
 * Offers a picture as a PNG file, in twice the resolution of the screen.
 *
 * @param {SVGSVGElement} svg
 * @param {string} name of the file
 */
export async function savePng(svg, name) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(toText(svg))}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * svg.width.baseVal.value;
  canvas.height = 2 * svg.height.baseVal.value;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("The browser has no canvas.");
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new Error("The browser made no PNG.");
  download(blob, name);
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has the file only some time after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
