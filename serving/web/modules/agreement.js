// Whether models agree on a picture.

import { sentence } from "./format.js";

/**
 * @typedef {{letter: string, best: {label: string}, knows: Set<string> | null}} Vote
 * @typedef {{kind: "agree" | "differ" | "none", text: string, short: string}} Verdict Short is for below a thumbnail.
 */

/** A class is the same class in two models if its label is. */
const sameClass = (left, right) => left.label === right.label;

/**
 * Compare the best classes of models with trained weights.
 * @param {Vote[]} votes
 * @returns {Verdict}
 */
export function verdict(votes) {
  if (votes.length < 2) return { kind: "none", text: "", short: votes[0]?.best.label ?? "" };
  const groups = [];
  for (const vote of votes) {
    const group = groups.find(([first]) => sameClass(first.best, vote.best));
    if (group) group.push(vote);
    else groups.push([vote]);
  }
  const [{ best }] = votes;
  if (groups.length === 1) return { kind: "agree", text: `${letters(votes)} agree: “${best.label}”`, short: best.label };
  const says = groups.map((group) => `${letters(group)} ${group.length > 1 ? "say" : "says"} “${group[0].best.label}”`);
  const short = groups.map((group) => `${group.map(({ letter }) => letter).join("")}: ${group[0].best.label}`).join(", ");
  return { kind: "differ", text: [says.join("; "), ...unknown(votes)].join(". "), short };
}

const letters = (votes) => sentence(votes.map(({ letter }) => letter));

/** Say which model does not have another model's best class, since that is a reason to differ. */
function unknown(votes) {
  const missing = votes.flatMap(({ letter, knows }) =>
    votes.filter(({ best }) => knows && !knows.has(best.label)).map(({ best }) => `${letter} has no class “${best.label}”`),
  );
  return [...new Set(missing)].slice(0, 2);
}

/** Letters of the other models that have a class among their best. */
export function alsoIn(score, letter, answers) {
  return answers.filter((other) => other.letter !== letter && other.scores.some((theirs) => sameClass(theirs, score))).map((other) => other.letter);
}
