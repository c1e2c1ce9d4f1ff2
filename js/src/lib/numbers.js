const NUMBER = "[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[+-]?\\d+)?";
// Marked, so that bundles which read no numbers leave it out.
const ENTRY = /* @__PURE__ */ new RegExp(`^\\s*(${NUMBER})\\s*(?:/\\s*(${NUMBER})\\s*)?$`, "i");

/**
 * Reads a decimal number or a fraction such as "8/255".
 *
 * @param {string} text
 * @returns {number | null} null if the text is not a finite number
 */
export function parseNumber(text) {
  const match = ENTRY.exec(text);
  if (!match) return null;
  const value = match[2] === undefined ? Number(match[1]) : Number(match[1]) / Number(match[2]);
  return Number.isFinite(value) ? value : null;
}

/**
 * Checks a typed entry.
 *
 * @param {string} text
 * @param {number} min
 * @param {number} max
 * @param {(value: number) => string} format
 * @returns {{ value: number } | { error: string }}
 */
export function readEntry(text, min, max, format) {
  const value = parseNumber(text);
  const shown = text.trim();
  if (value === null) {
    const received = shown === "" ? "nothing" : `“${shown}”`;
    return { error: `Type a number such as 0.03 or 8/255. Received ${received}.` };
  }
  if (value < min || value > max) {
    return { error: `Must lie between ${format(min)} and ${format(max)}. Received “${shown}”.` };
  }
  return { value };
}

/**
 * Formats a number as Python's `format(value, spec)` does for the specs `.Nf`, `.Ne`, `.Ng` and `.N%`.
 *
 * @param {number} value
 * @param {string} spec
 * @returns {string}
 */
export function formatNumber(value, spec) {
  const match = /^\.(\d+)([feg%])$/.exec(spec);
  if (!match || !Number.isFinite(value)) return String(value);
  const digits = Number(match[1]);
  switch (match[2]) {
    case "f":
      return value.toFixed(digits);
    case "%":
      return `${(100 * value).toFixed(digits)}%`;
    case "e":
      return padExponent(value.toExponential(digits));
    default:
      return general(value, digits);
  }
}

/**
 * @param {number} value
 * @param {number} digits
 * @returns {string}
 */
function general(value, digits) {
  const precision = Math.max(digits, 1);
  const [mantissa = "", exponent = "0"] = value.toExponential(precision - 1).split("e");
  const power = Number(exponent);
  if (power >= -4 && power < precision) {
    return stripZeros(value.toFixed(precision - 1 - power));
  }
  return padExponent(`${stripZeros(mantissa)}e${exponent}`);
}

/** @param {string} text */
function stripZeros(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** @param {string} text */
function padExponent(text) {
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

/**
 * The slider position nearest to a value: `min + k * step`, or one of the two ends.
 *
 * @param {number} value
 * @param {number} min
 * @param {number} max
 * @param {number} step
 * @returns {number}
 */
export function snap(value, min, max, step) {
  if (value <= min) return min;
  if (value >= max) return max;
  const grid = Number((min + Math.round((value - min) / step) * step).toPrecision(12));
  return max - value < Math.abs(grid - value) ? max : Math.min(Math.max(grid, min), max);
}

/**
 * Where a key moves a slider.
 *
 * @param {string} key name of the key as in `KeyboardEvent.key`
 * @param {number} value
 * @param {{ min: number, max: number, step: number }} range
 * @returns {number | null} null if the key does not move a slider
 */
export function moveByKey(key, value, { min, max, step }) {
  const page = Math.max(step, (max - min) / 10);
  switch (key) {
    case "ArrowRight":
    case "ArrowUp":
      return snap(value + step, min, max, step);
    case "ArrowLeft":
    case "ArrowDown":
      return snap(value - step, min, max, step);
    case "PageUp":
      return snap(value + page, min, max, step);
    case "PageDown":
      return snap(value - page, min, max, step);
    case "Home":
      return min;
    case "End":
      return max;
    default:
      return null;
  }
}

/**
 * @param {number} seconds
 * @returns {string} with a unit that fits, such as "12 ms" or "3.4 s"
 */
export function formatSeconds(seconds) {
  if (seconds < 0.9995) return `${Math.max(1, Math.round(1000 * seconds))} ms`;
  return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}
