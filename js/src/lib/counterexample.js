import { show } from "./span.js";

/** @typedef {Float32Array | Float64Array} Values */

/**
 * The values of one point; the kernel sends them in single or in double precision.
 *
 * @param {unknown} value DataView, ArrayBuffer or typed array; anything else is empty
 * @param {number} size how many values there are
 * @returns {Values}
 */
export function readValues(value, size) {
  /** @type {Uint8Array} */
  let bytes = new Uint8Array(0);
  if (value instanceof ArrayBuffer) bytes = new Uint8Array(value.slice(0));
  else if (ArrayBuffer.isView(value)) {
    bytes = new Uint8Array(value.byteLength);
    bytes.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  return bytes.byteLength === 8 * size
    ? new Float64Array(bytes.buffer)
    : new Float32Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 4));
}

/**
 * Ends of the scale of each value: of pictures and signals the same for all.
 *
 * @param {Values} range `(low, high)`, or all low ends and then all high ends
 * @param {number} size
 * @returns {(k: number) => [number, number]}
 */
export function scaleOf(range, size) {
  if (range.length === 2 * size && size > 1) return (k) => [Number(range[k]), Number(range[size + k])];
  return () => [Number(range[0]), Number(range[1])];
}

/**
 * Changes as parts of their scales, amplified: from -1 to 1, where 1 is half of a scale or more.
 *
 * @param {Values} clean
 * @param {Values} adversarial
 * @param {(k: number) => [number, number]} scale
 * @param {number} factor
 * @returns {Float64Array}
 */
export function changes(clean, adversarial, scale, factor) {
  return Float64Array.from({ length: clean.length }, (_, k) => {
    const [low, high] = scale(k);
    const part = (factor * (Number(adversarial[k]) - Number(clean[k]))) / (0.5 * (high - low || 1));
    return Math.min(1, Math.max(-1, part));
  });
}

/**
 * The largest round factor with which all changes can still be told apart.
 *
 * @param {Float64Array} parts of the changes without amplification
 * @returns {number} at least 1, at most 1000
 */
export function fittingFactor(parts) {
  const largest = parts.reduce((most, part) => Math.max(most, Math.abs(part)), 0);
  const round = [1000, 500, 200, 100, 50, 20, 10, 5, 2];
  return round.find((factor) => factor * largest <= 1 + 1e-6) ?? 1;
}

/**
 * @param {Values} values
 * @param {number} low
 * @param {number} high
 */
export function toPixels(values, low, high) {
  return Uint8Array.from(values, (value) => Math.round((255 * (value - low)) / (high - low || 1)));
}

// Blue for less, orange for more: told apart by every kind of colour vision.
const LESS = [0, 90, 160];
const NONE = [244, 244, 244];
const MORE = [200, 80, 0];

/**
 * The changes as a picture: of one channel from blue (less) over white (the same) to orange (more), of
 * three channels each of them around grey.
 *
 * @param {Float64Array} parts from -1 to 1
 * @param {number} channels
 * @returns {Uint8Array} pixels with three channels
 */
export function changePixels(parts, channels) {
  if (channels === 3) return Uint8Array.from(parts, (part) => Math.round(127.5 + 127.5 * part));
  const pixels = new Uint8Array(3 * parts.length);
  parts.forEach((part, k) => {
    const end = part < 0 ? LESS : MORE;
    for (let c = 0; c < 3; c += 1) {
      pixels[3 * k + c] = Math.round(Number(NONE[c]) + Math.abs(part) * (Number(end[c]) - Number(NONE[c])));
    }
  });
  return pixels;
}

/**
 * Which classes are listed: all of a few, else the label, both predictions and those with the largest outputs.
 *
 * @param {ArrayLike<number>} clean
 * @param {ArrayLike<number>} adversarial
 * @param {number} label
 * @param {number} most
 * @returns {number[]} increasing
 */
export function listedClasses(clean, adversarial, label, most) {
  const all = Array.from({ length: Math.max(clean.length, adversarial.length) }, (_, k) => k);
  if (all.length <= most) return all;
  /** @param {ArrayLike<number>} outputs */
  const order = (outputs) => [...all].sort((a, b) => Number(outputs[b]) - Number(outputs[a]));
  const best = adversarial.length > 0 ? order(adversarial) : order(clean);
  const first = [label, largest(clean), largest(adversarial)].filter((k) => k >= 0);
  return [...new Set([...first, ...best])].slice(0, most).sort((a, b) => a - b);
}

/**
 * @param {ArrayLike<number>} outputs
 * @returns {number} position of the first largest one, -1 if there is none or one is NaN
 */
export function largest(outputs) {
  let best = outputs.length > 0 ? 0 : -1;
  for (let k = 0; k < outputs.length; k += 1) {
    if (Number.isNaN(outputs[k])) return -1;
    if (Number(outputs[k]) > Number(outputs[best])) best = k;
  }
  return best;
}

/**
 * The shortest decimal number that is read back as the same one.
 *
 * @param {number} value
 * @param {boolean} single whether it is of single precision
 */
export function shortest(value, single) {
  if (single) {
    for (let digits = 1; digits < 9; digits += 1) {
      const text = String(Number(value.toPrecision(digits)));
      if (Math.fround(Number(text)) === value) return text;
    }
  }
  return Object.is(value, -0) ? "-0.0" : String(value);
}

/**
 * Python code that makes both points.
 *
 * @param {object} point
 * @param {Values} point.clean
 * @param {Values} point.adversarial
 * @param {readonly number[]} point.shape of one input
 * @param {string} point.about what they are, one line
 */
export function numpyText({ clean, adversarial, shape, about }) {
  const single = [clean, adversarial].every((values) => values.every((value) => Math.fround(value) === value));
  const sides = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  /** @param {string} name @param {Values} values */
  const array = (name, values) => {
    const lines = [""];
    for (const value of values) {
      const text = `${shortest(value, single)},`;
      const last = /** @type {string} */ (lines[lines.length - 1]);
      if (last.length + text.length > 94) lines.push(text);
      else lines[lines.length - 1] = last ? `${last} ${text}` : text;
    }
    const rows = lines.map((line) => `    ${line}`).join("\n");
    return `${name} = np.array([\n${rows}\n], dtype=np.${single ? "float32" : "float64"}).reshape(${sides})`;
  };
  return `import numpy as np\n\n# ${about}\n${array("x", clean)}\n${array("adversarial", adversarial)}\n`;
}

/**
 * What is proven by a point.
 *
 * @param {object} point
 * @param {string} point.label
 * @param {string} point.predicted
 * @param {number} point.distance
 * @param {number} point.epsilon
 */
export function proofText({ label, predicted, distance, epsilon }) {
  return (
    `This very point was run through the real Keras model: label ${label}, predicted ${predicted}. ` +
    `It lies at L∞ distance ${show(distance)} from the clean input, inside the domain of radius ε = ${show(epsilon)}.`
  );
}
