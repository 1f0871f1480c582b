// A column per model that is compared: what was chosen, its answer, its time and its cost.

import { LETTERS, MAX_CONTENDERS, pathOf } from "./board.js";
import { alsoIn, verdict } from "./agreement.js";
import { byId, element, replaceKeepingFocus, update } from "./dom.js";
import { arithmetic, count, dimensions, milliseconds, percent } from "./format.js";
import { versionCard } from "./gateway.js";
import { lossText } from "./quantization.js";

const PHASES = { decode: "decode", queue: "queue", inference: "inference" };

/** Answers that there are, with the letter of their column. */
function answered(board, picture) {
  return board.contenders
    .map((contender, place) => ({ letter: LETTERS[place], answer: board.answerTo(contender, picture) }))
    .filter(({ answer }) => answer?.state === "done")
    .map(({ letter, answer }) => ({
      letter,
      scores: answer.classification.scores,
      best: answer.classification.scores[0],
      trained: answer.classification.trained,
      knows: answer.card && new Set(answer.card.class_names),
    }));
}

/** Whether the models with trained weights agree on a picture; until all have answered, what the first says. */
export function verdictOn(board, picture) {
  const answers = answered(board, picture);
  const trained = answers.filter((answer) => answer.trained);
  return verdict(answers.length === board.contenders.length ? trained : trained.slice(0, 1));
}

/** Letters of the models with trained weights that have answered for any picture. */
export function trainedLetters(board) {
  return [...new Set(board.pictures.flatMap((picture) => answered(board, picture).filter(({ trained }) => trained).map(({ letter }) => letter)))].sort();
}

/** @param {import("./board.js").Board} board */
export function createColumns(board) {
  /** @type {Map<string, any>} Cards by model and version, as they arrive. */
  const cards = new Map();

  function cardOf(contender) {
    const answer = board.answerTo(contender);
    if (answer?.card) return answer.card;
    const version = board.versionOf(contender);
    if (version == null) return null;
    const name = `${contender.model} ${version}`;
    if (!cards.has(name)) {
      cards.set(name, null);
      versionCard(contender.model, version).then(
        (card) => { cards.set(name, card); board.changed(); },
        () => {},
      );
    }
    return cards.get(name);
  }

  byId("add-contender").addEventListener("click", () => {
    const suggestion = board.suggestion();
    board.compare(suggestion.model, suggestion.selector);
    document.querySelector(`[data-focus="model ${board.contenders.length - 1}"]`)?.focus();
  });
  // a first load takes seconds: count them
  setInterval(() => {
    for (const node of document.querySelectorAll("[data-since]")) node.textContent = elapsed(Number(node.dataset.since));
  }, 500);

  /** Columns that are on the page; a select that is open would close if it were made anew. */
  const columns = new Map();

  function columnOf(contender, place) {
    const names = board.served().map(({ name }) => name);
    const versions = board.versionsOf(contender.model).map(({ version, labels, state }) => [version, labels, state === "failed"]);
    const known = JSON.stringify([place, board.contenders.length, contender, names, versions]);
    const before = columns.get(contender);
    const made = before ?? { article: element("article"), body: element("div", { class: "answer" }), known: "" };
    if (made.known !== known) {
      made.article.className = `column ${LETTERS[place]}`;
      made.article.setAttribute("aria-label", `Model ${LETTERS[place]}: ${contender.model}`);
      replaceKeepingFocus(made.article, head(board, contender, place), made.body);
      made.known = known;
      columns.set(contender, made);
    }
    return made;
  }

  return () => {
    const { current, contenders } = board;
    const answers = answered(board, current).filter(({ trained }) => trained);
    const slowest = Math.max(...contenders.map((each) => board.answerTo(each)?.classification?.total ?? 0));
    const shown = contenders.map((contender, place) => {
      const { article, body } = columnOf(contender, place);
      article.setAttribute("aria-busy", String(board.answerTo(contender)?.state === "waiting"));
      update(body, ...content(board, contender, place, { answers, slowest, card: cardOf(contender) }));
      return article;
    });
    const place = byId("columns");
    if (shown.length !== place.children.length || shown.some((article, index) => article !== place.children[index])) {
      replaceKeepingFocus(place, ...shown);
    }
    for (const contender of columns.keys()) if (!contenders.includes(contender)) columns.delete(contender);
    place.dataset.count = String(contenders.length);
    byId("add-contender").hidden = !contenders.length || contenders.length >= MAX_CONTENDERS;
    const { kind, text } = current ? verdictOn(board, current) : { kind: "none", text: "" };
    byId("verdict").className = `verdict-line ${kind}`;
    byId("verdict").replaceChildren(...(kind === "none" ? [] : [element("span", { "aria-hidden": "true" }, kind === "agree" ? "✓" : "≠"), text]));
  };
}

function content(board, contender, place, { answers, slowest, card }) {
  const answer = board.answerTo(contender);
  const body =
    !answer ? placeholder(board)
    : answer.state === "waiting" ? waiting(contender, answer)
    : answer.state === "failed" ? failed(board, contender, answer)
    : scores(board, contender, place, answer, answers);
  return [...body, answer?.state === "done" && time(answer, slowest), card && cost(card)].filter(Boolean);
}

function head(board, contender, place) {
  const letter = LETTERS[place];
  const models = board.served().map(({ name }) => element("option", { value: name, selected: name === contender.model }, name));
  const chooseModel = (event) => board.choose(contender, event.target.value, "");
  const chooseVersion = (event) => board.choose(contender, contender.model, event.target.value);
  const drop = () => {
    board.drop(contender);
    byId("add-contender").focus();
  };
  return element(
    "header",
    {},
    element("span", { class: `badge ${letter}` }, letter),
    element("select", { "aria-label": `Model ${letter}`, title: contender.model, "data-focus": `model ${place}`, onchange: chooseModel }, ...models),
    element("select", { "aria-label": `Version of model ${letter}`, "data-focus": `version ${place}`, onchange: chooseVersion }, ...versionOptions(board, contender)),
    board.contenders.length > 1 &&
      element("button", { type: "button", class: "quiet", "aria-label": `Do not compare with model ${letter}`, title: "Remove", "data-focus": `drop ${place}`, onclick: drop }, "×"),
  );
}

function versionOptions(board, { model, selector }) {
  const versions = board.versionsOf(model);
  const option = (value, text) => element("option", { value, selected: value === selector }, text);
  const labels = versions.flatMap(({ version, labels }) => labels.map((label) => option(`labels/${encodeURIComponent(label)}`, `${label} (${version})`)));
  const numbers = versions.map(({ version, state }) => option(`versions/${version}`, `version ${version}${state === "failed" ? ", failed" : ""}`));
  return [option("", "newest"), ...labels, ...numbers.reverse()];
}

function placeholder(board) {
  return [element("p", { class: "placeholder" }, board.current ? "Waits for the answers before it…" : "Its answer appears here.")];
}

const elapsed = (since) => `${Math.max(0, Math.round((performance.now() - since) / 1000))}\u00a0s`;

function waiting(contender, answer) {
  const text = answer.isLoading
    ? [`Loading ${contender.model} for the first time, which takes some seconds… `, element("span", { "data-since": answer.started, "aria-hidden": "true" }, elapsed(answer.started))]
    : ["Classifying…"];
  const bars = [92, 64, 48, 36, 28].map((width) => {
    const bar = element("i", {});
    bar.style.width = `${width}%`;
    return bar;
  });
  return [element("p", { class: "working" }, ...text), element("div", { class: "skeleton", "aria-hidden": "true" }, ...bars)];
}

function failed(board, contender, { error }) {
  return [
    element(
      "div",
      { class: "failure" },
      element("p", {}, element("strong", {}, `${error.message}.`), ` ${error.detail ? `${error.detail}. ` : ""}`),
      error.advice && element("p", {}, error.advice),
      error.requestId && element("p", { class: "small" }, `Number of the request: ${error.requestId}`),
      element("button", { type: "button", "data-focus": `retry ${pathOf(contender)}`, onclick: () => board.retry(contender) }, "Try again"),
    ),
  ];
}

function scores(board, contender, place, answer, answers) {
  const { classification, card } = answer;
  const letter = LETTERS[place];
  const rows = classification.scores.map((score) => {
    const bar = element("i", {});
    bar.style.width = `${100 * score.score}%`;
    const others = classification.trained ? alsoIn(score, letter, answers) : [];
    const content = [
      element("span", { class: "label" }, score.label, ...others.map((other) => element("span", { class: `also ${other}`, title: `also among the best of ${other}` }, element("span", { class: "visually-hidden" }, ", also "), other))),
      element("span", { class: "score" }, percent(score.score)),
      element("span", { class: "bar", "aria-hidden": "true" }, bar),
    ];
    const isShown = board.evidence?.contender === contender && board.evidence.index === score.index;
    const toggle = () => {
      if (!isShown) return board.showEvidence(contender, score);
      board.hideEvidence();
      board.changed();
    };
    const attributes = { title: score.wordnet_id ? `WordNet ${score.wordnet_id}` : null };
    return element(
      "li",
      attributes,
      card?.explain
        ? element("button", { type: "button", class: "class", "aria-pressed": String(isShown), "data-focus": `class ${place} ${score.index}`, onclick: toggle }, ...content)
        : element("div", { class: "class" }, ...content),
    );
  });
  return [
    classification.trained
      ? ""
      : element("p", { class: "untrained" }, element("strong", {}, "Untrained"), "The weights are random: these scores mean nothing."),
    element("p", { class: "answered" }, `Version ${classification.version}`, classification.multi_label && element("span", { class: "pill" }, "several classes may apply: each score stands for itself")),
    element("ol", { class: "scores" }, ...rows),
    card && !card.explain && element("p", { class: "small" }, "Its network has no maps of evidence."),
  ];
}

function time({ classification: { phases, arithmetic: computed, total }, isLoading }, slowest) {
  const parts = { ...phases, rest: Math.max(0, total - Object.values(phases).reduce((sum, each) => sum + each, 0)) };
  const known = Object.entries({ ...PHASES, rest: isLoading ? "loading the model, network" : "network" }).filter(([phase]) => phase in parts);
  const bars = known.map(([phase]) => {
    const bar = element("i", { class: phase });
    bar.style.width = `${(100 * parts[phase]) / slowest}%`;
    return bar;
  });
  return element(
    "section",
    { class: "time" },
    element("h3", {}, "Time ", element("b", {}, milliseconds(total))),
    element("div", { class: "phases", "aria-hidden": "true" }, ...bars),
    element(
      "dl",
      {},
      ...known.map(([phase, name]) => element("div", { class: phase }, element("dt", {}, name), element("dd", {}, milliseconds(parts[phase])))),
      computed && element("div", { class: "arithmetic" }, element("dt", {}, "computed in"), element("dd", {}, arithmetic(computed))),
    ),
  );
}

function accuracyText({ accuracy, weights, trained, quantization }) {
  if (accuracy) return `Top\u20111 on ${accuracy.dataset === "imagenet" ? "ImageNet" : "CIFAR-10"}${quantization ? ", in float32" : ""}: ${accuracy.source}.`;
  return trained ? `No accuracy is published for these weights: ${weights}.` : "Untrained weights have no accuracy.";
}

function cost(card) {
  const { network, accuracy, quantization } = card;
  const facts = [
    network && ["parameters", count(network.parameters)],
    network && ["multiply-adds", count(network.macs)],
    accuracy && ["published top\u20111", `${accuracy.top1}\u00a0%`],
  ].filter(Boolean);
  return element(
    "section",
    { class: "cost" },
    element("h3", {}, "Cost"),
    facts.length
      ? element("dl", {}, ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))))
      : element("p", { class: "small" }, "Not known: the network is not in the registry."),
    network && element("p", { class: "small" }, `${network.title} as published, for ${dimensions(network.size)} pixels.`),
    element("p", { class: "small" }, accuracyText(card)),
    quantization && element("p", { class: "small" }, lossText(quantization)),
  );
}
