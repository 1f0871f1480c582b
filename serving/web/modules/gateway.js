// The gateway's REST API. Paths are relative to the page, which may be published below a prefix.

import { anotherKey, currentKey } from "./key.js";
import { Problem, noAnswer, problemOf } from "./problems.js";

export const ROOT = new URL(".", location.href).href;

/**
 * Send a request, with the key if there is one; ask the person for a key if the gateway wants one.
 * @param {string} path
 * @param {RequestInit} options
 */
async function request(path, options = {}) {
  for (;;) {
    const key = currentKey();
    const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
    const response = await fetch(ROOT + path, { ...options, headers }).catch((error) => {
      throw error.name === "AbortError" ? error : noAnswer(error);
    });
    if (response.ok) return response;
    if (response.status !== 401 || !(await anotherKey(key))) throw await problemOf(response);
    options.signal?.throwIfAborted();
  }
}

const post = (path, blob, signal) =>
  request(path, { method: "POST", body: blob, signal, headers: { "Content-Type": blob.type || "application/octet-stream" } });

/** @returns {Promise<{name: string, versions: {version: number, state: string, labels: string[], error: string | null, arithmetic: string | null}[], problems: string[]}[]>} */
export const listModels = async () => (await request("models")).json();

const cards = new Map();

/** The card of a version never changes, so each is fetched once. */
export function versionCard(model, version) {
  const path = `models/${encodeURIComponent(model)}/versions/${version}`;
  if (!cards.has(path)) {
    const card = request(path).then((response) => response.json());
    card.catch(() => cards.delete(path));
    cards.set(path, card);
  }
  return cards.get(path);
}

/**
 * @param {string} path Model, and version or label, e.g. "efficientnet-lite0/versions/2".
 * @param {Blob} blob
 * @param {AbortSignal} signal
 */
export async function classify(path, blob, signal) {
  const started = performance.now();
  const response = await post(`classify/${path}`, blob, signal);
  const classification = await response.json();
  const timing = response.headers.get("Server-Timing") ?? "";
  return {
    ...classification,
    scores: classification.images[0],
    phases: phasesOf(timing),
    arithmetic: timing.match(/(?:^|,)\s*inference;[^,]*\bdesc="?(\w+)/)?.[1] ?? null,
    total: performance.now() - started,
  };
}

/** @returns {Promise<{grid: number[][], class: {index: number, label: string, score: number}, input: {size: [number, number], crop_fraction: number}}>} */
export async function explain(path, index, blob, signal) {
  return (await post(`explain/${path}?class=${index}`, blob, signal)).json();
}

/** @returns {Record<string, number>} Milliseconds by phase. */
function phasesOf(header) {
  return Object.fromEntries([...header.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name, duration]) => [name, Number(duration)]));
}

/** A sample photograph, which needs no key. */
export async function sample(name) {
  const response = await fetch(`${ROOT}static/${name}`).catch((error) => Promise.reject(noAnswer(error)));
  if (!response.ok) throw new Problem({ title: "The sample is not there", advice: "Reload the page." });
  return response.blob();
}
