// Numbers for people. No-break spaces keep a number and its unit on one line.

const NBSP = "\u00a0";

/** @param {number} share 0 to 1 */
export function percent(share) {
  if (share > 0 && share < 0.0005) return `<${NBSP}0.1${NBSP}%`;
  if (share < 1 && share >= 0.9995) return `>${NBSP}99.9${NBSP}%`;
  return `${(100 * share).toFixed(1)}${NBSP}%`;
}

/** @param {number} share 0 to 1, of which a hundredth of a per cent matters */
export const hundredths = (share) => `${(100 * share).toFixed(2)}${NBSP}%`;

/** @param {number} number e.g. 4694184, which becomes "4.69 M" */
export function count(number) {
  const [divisor, unit] = number >= 1e9 ? [1e9, "G"] : number >= 1e6 ? [1e6, "M"] : number >= 1e3 ? [1e3, "k"] : [1, ""];
  return `${Number((number / divisor).toPrecision(3))}${unit && NBSP + unit}`;
}

/** @param {number} duration In milliseconds. */
export function milliseconds(duration) {
  return duration < 1000 ? `${duration.toFixed(duration < 9.95 ? 1 : 0)}${NBSP}ms` : `${(duration / 1000).toFixed(2)}${NBSP}s`;
}

const ARITHMETICS = { f32: "float32", bf16: "bfloat16" };

/** @param {string} name As the gateway calls it, e.g. "bf16". */
export const arithmetic = (name) => ARITHMETICS[name] ?? name;

/** Join names as a sentence does: "A", "A and B", "A, B and C". */
export function sentence(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** @param {[number, number]} size Height and width. */
export const dimensions = ([height, width]) => `${width}${NBSP}×${NBSP}${height}`;
