// What a card says of a version's int8 graph: what it was calibrated on, and how its answers differ from float32.

import { arithmetic, hundredths } from "./format.js";

/**
 * Facts for the card of a version, by name.
 * @param {any} card
 * @param {string | null} computed The arithmetic of the version on this gateway; null until the version is loaded.
 * @returns {Record<string, string | null>}
 */
export function arithmeticFacts({ quantization, multi_label }, computed) {
  const other = quantization && computed !== "int8" ? ", not its int8 graph" : "";
  const facts = { Arithmetic: computed && `${arithmetic(computed)}${other}` };
  if (!quantization) return facts;
  const { source_version, layers, int8_layers, calibration, agreement } = quantization;
  const same = multi_label ? "find the same classes probable" : "have the same best class";
  return {
    ...facts,
    "int8 graph": `${int8_layers} of ${layers} layers in int8, the others in float32; made from version ${source_version}`,
    "Calibrated on": `${calibration.pictures} pictures (fingerprint ${calibration.fingerprint.slice(0, 16)})`,
    Agreement: `${hundredths(agreement.top1)} of ${agreement.pictures} other pictures ${same} in int8 as in float32`,
    "Change of scores": `on an average picture, no score changes by more than ${points(agreement.mean_difference)} percentage points; the largest change is ${points(agreement.largest_difference)}`,
    "Measured accuracy": accuracyOf(quantization) ?? "none: there were no labelled pictures",
  };
}

/** What int8 costs, in a sentence. */
export function lossText(quantization) {
  const { pictures, top1 } = quantization.agreement;
  const accuracy = accuracyOf(quantization);
  return accuracy ? `Measured accuracy: ${accuracy}.` : `int8 answers like float32 for ${hundredths(top1)} of ${pictures} pictures.`;
}

const points = (share) => (100 * share).toFixed(1);

const accuracyOf = ({ accuracy }) =>
  accuracy && `${hundredths(accuracy.int8)} in int8 and ${hundredths(accuracy.float32)} in float32, on ${accuracy.pictures} labelled pictures`;
