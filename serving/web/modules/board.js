// What the page shows: pictures, the models that are compared, and an answer for each pair of them.
//
// An answer belongs to a picture and to what was asked, never to a place on the screen: answers may arrive in any order.
// What is no longer wanted is aborted.

import { classify, explain, listModels, versionCard } from "./gateway.js";
import { Problem } from "./problems.js";

/**
 * @typedef {{id: number, name: string, blob: Blob, url: string, answers: Map<string, Answer>}} Picture
 * @typedef {{model: string, selector: string}} Contender A model, and "", "versions/2" or "labels/stable".
 * @typedef {{state: "waiting" | "done" | "failed", controller: AbortController, started: number, isLoading: boolean,
 *   classification?: any, card?: any, error?: Problem}} Answer
 */

export const MAX_PICTURES = 24;
export const MAX_CONTENDERS = 4;
export const LETTERS = "ABCD";
const CONCURRENT = 4; // requests; browsers open six connections to a server at most

/** @param {Contender} contender */
export const pathOf = ({ model, selector }) => encodeURIComponent(model) + (selector && `/${selector}`);

export class Board extends EventTarget {
  models = null;
  /** @type {Picture[]} */ pictures = [];
  /** @type {Picture | null} */ current = null;
  /** @type {Contender[]} */ contenders = [];
  /** The evidence for a class in the current picture, or null. */ evidence = null;
  #numbers = 0;
  #running = 0;
  #lists = 0;

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  async loadModels() {
    const number = ++this.#lists;
    const models = await listModels();
    if (number !== this.#lists) return; // a later list, perhaps with another key, is the one to show
    this.models = models;
    const served = this.served();
    for (const contender of this.contenders.filter(({ model }) => !served.some(({ name }) => name === model))) this.drop(contender);
    if (!this.contenders.length && served.length) {
      const first = served.find(({ versions }) => versions.some(({ state }) => state === "ready")) ?? served[0];
      this.contenders = [{ model: first.name, selector: "" }];
    }
    this.#work();
  }

  /** Models with a version to ask. */
  served() {
    return (this.models ?? []).filter(({ versions }) => versions.length);
  }

  versionsOf(model) {
    return this.models?.find(({ name }) => name === model)?.versions ?? [];
  }

  /** The version that will answer, as far as it is known: null before the list of models has arrived. */
  versionOf({ model, selector }) {
    const [kind, value] = selector.split("/");
    const versions = this.versionsOf(model);
    if (kind === "versions") return Number(value);
    if (kind === "labels") return versions.find(({ labels }) => labels.includes(decodeURIComponent(value)))?.version ?? null;
    const usable = versions.filter(({ state }) => state !== "failed");
    return (usable.length ? usable : versions).at(-1)?.version ?? null;
  }

  /** @param {{name: string, blob: Blob}[]} files */
  add(files) {
    const room = MAX_PICTURES - this.pictures.length;
    const added = files.slice(0, room).map(({ name, blob }) => ({
      id: ++this.#numbers,
      name,
      blob,
      url: URL.createObjectURL(blob),
      answers: new Map(),
    }));
    this.pictures.push(...added);
    if (added.length) this.show(added[0]);
    return files.length - added.length;
  }

  show(picture) {
    this.current = picture;
    this.hideEvidence();
    this.#work();
  }

  remove(picture) {
    const place = this.pictures.indexOf(picture);
    this.pictures.splice(place, 1);
    URL.revokeObjectURL(picture.url);
    for (const answer of picture.answers.values()) answer.controller.abort();
    this.show(this.pictures[place] ?? this.pictures[place - 1] ?? null);
  }

  compare(model, selector = "") {
    this.contenders.push({ model, selector });
    this.#contendersChanged();
  }

  choose(contender, model, selector) {
    Object.assign(contender, { model, selector });
    this.#contendersChanged();
  }

  drop(contender) {
    this.contenders.splice(this.contenders.indexOf(contender), 1);
    this.#contendersChanged();
  }

  /** Something to compare with: another version of a model on the board, or another model. */
  suggestion() {
    const used = new Set(this.contenders.map((contender) => `${contender.model} ${this.versionOf(contender)}`));
    const last = this.contenders.at(-1)?.model;
    const others = this.served().filter(({ name }) => !this.contenders.some(({ model }) => model === name));
    const older = this.versionsOf(last).filter(({ version }) => !used.has(`${last} ${version}`)).at(-1);
    if (others.length) return { model: others[0].name, selector: "" };
    return last ? { model: last, selector: older ? `versions/${older.version}` : "" } : null;
  }

  answerTo(contender, picture = this.current) {
    return picture?.answers.get(pathOf(contender)) ?? null;
  }

  /** Ask once more for what failed. */
  retry(contender, picture = this.current) {
    picture.answers.delete(pathOf(contender));
    this.#work();
  }

  retryAll() {
    for (const { answers } of this.pictures) {
      for (const [path, { state }] of answers) if (state === "failed") answers.delete(path);
    }
    this.#work();
  }

  #contendersChanged() {
    const wanted = new Set(this.contenders.map(pathOf));
    for (const { answers } of this.pictures) {
      for (const [path, answer] of answers) {
        if (answer.state === "waiting" && !wanted.has(path)) {
          answers.delete(path);
          answer.controller.abort();
        }
      }
    }
    this.hideEvidence();
    this.#work();
  }

  /** Ask for the answers that are missing, the current picture's first. */
  #work() {
    for (const picture of [this.current, ...this.pictures]) {
      for (const contender of picture ? this.contenders : []) {
        if (this.#running >= CONCURRENT) break;
        if (!picture.answers.has(pathOf(contender))) this.#ask(picture, { ...contender });
      }
    }
    this.changed();
  }

  async #ask(picture, contender) {
    const version = this.versionsOf(contender.model).find(({ version }) => version === this.versionOf(contender));
    const answer = {
      state: "waiting",
      controller: new AbortController(),
      started: performance.now(),
      isLoading: Boolean(version) && version.state !== "ready",
    };
    picture.answers.set(pathOf(contender), answer);
    this.#running += 1;
    try {
      answer.classification = await classify(pathOf(contender), picture.blob, answer.controller.signal);
      answer.card = await versionCard(contender.model, answer.classification.version).catch(() => null);
      answer.state = "done";
      if (version?.version === answer.classification.version) version.state = "ready";
    } catch (error) {
      answer.error = error instanceof Problem ? error : new Problem({ title: "The page failed", detail: error.message });
      answer.state = "failed";
    }
    this.#running -= 1;
    this.#work();
  }

  /** Show what a model takes as evidence for a class: the version that answered, on the current picture. */
  async showEvidence(contender, { index, label }) {
    this.evidence?.controller.abort();
    const { version } = this.answerTo(contender).classification;
    const evidence = { contender, index, label, version, controller: new AbortController(), map: null, error: null };
    this.evidence = evidence;
    this.changed();
    try {
      const path = `${encodeURIComponent(contender.model)}/versions/${version}`;
      evidence.map = await explain(path, index, this.current.blob, evidence.controller.signal);
    } catch (error) {
      evidence.error = error;
    }
    if (this.evidence === evidence) this.changed();
  }

  hideEvidence() {
    this.evidence?.controller.abort();
    this.evidence = null;
  }
}
