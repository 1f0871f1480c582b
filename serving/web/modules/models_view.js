// All models with their versions, states, labels and cards.

import { byId, element, update } from "./dom.js";
import { arithmetic, count, dimensions } from "./format.js";
import { versionCard } from "./gateway.js";
import { arithmeticFacts } from "./quantization.js";

const STATES = {
  ready: "loaded",
  idle: "loads on first use",
  loading: "is loading",
  failed: "failed to load",
};

/** @param {import("./board.js").Board} board */
export function createModelsView(board, openComparison) {
  /** Versions whose card is open. */
  const open = new Set();
  const filter = /** @type {HTMLInputElement} */ (byId("filter"));
  filter.addEventListener("input", render);

  function render() {
    const wanted = filter.value.trim().toLowerCase();
    const models = (board.models ?? []).filter(({ name }) => name.toLowerCase().includes(wanted));
    byId("filter-label").hidden = (board.models?.length ?? 0) < 6;
    byId("model-count").textContent =
      board.models == null ? "Loading the list…"
      : !board.models.length ? "No model is published here yet. Publish one: keras-archs export efficientnet-lite0 --weights imagenet"
      : wanted ? `${models.length} of ${board.models.length} models` : "";
    update(byId("model-list"), ...models.map(model));
  }

  function model({ name, versions, problems }) {
    return element(
      "article",
      { class: "model" },
      element("h3", {}, name),
      ...problems.map((problem) => element("p", { class: "problem" }, problem)),
      element("ul", { class: "versions" }, ...versions.toReversed().map((version) => versionItem(name, version))),
    );
  }

  function versionItem(name, { version, state, labels, error, arithmetic: computed }) {
    const id = `${name} ${version}`;
    const toggle = () => {
      if (!open.delete(id)) open.add(id);
      render();
    };
    const compare = () => openComparison(name, `versions/${version}`);
    return element(
      "li",
      {},
      element(
        "div",
        { class: "version" },
        element("span", { class: "number" }, `version ${version}`),
        element("span", { class: `state ${state}` }, STATES[state] ?? state),
        computed && element("span", { class: "small" }, `computes in ${arithmetic(computed)}`),
        ...labels.map((label) => element("span", { class: "pill" }, label)),
        element(
          "span",
          { class: "actions" },
          element("button", { type: "button", "aria-expanded": String(open.has(id)), "data-focus": `card ${id}`, "aria-label": `Card of ${name}, version ${version}`, onclick: toggle }, "Card"),
          element("button", { type: "button", "data-focus": `compare ${id}`, "aria-label": `Use ${name}, version ${version}`, onclick: compare }, "Use"),
        ),
      ),
      error && element("p", { class: "problem" }, error),
      open.has(id) && cardPlace(name, version, computed),
    );
  }

  return render;
}

function cardPlace(model, version, computed) {
  const place = element("div", { class: "card" }, "Loading the card…");
  versionCard(model, version).then(
    (card) => place.replaceChildren(...cardContent(card, computed)),
    (error) => place.replaceChildren(element("p", { class: "problem" }, `${error.message}. ${error.detail} ${error.advice}`)),
  );
  return place;
}

function cardContent(card, computed) {
  const { network, accuracy, input, quantization } = card;
  const shown = card.class_names.slice(0, 12).join(", ");
  const facts = {
    Weights: card.trained ? card.weights : "untrained: random, its scores mean nothing",
    Licence: card.licence,
    Accuracy: accuracy && `${accuracy.top1}\u00a0% top\u20111${quantization ? " in float32" : ""} (${accuracy.source})`,
    ...arithmeticFacts(card, computed),
    Network: network && `${network.title} (${network.year})`,
    Paper: network && element("a", { href: `https://arxiv.org/abs/${network.arxiv}`, rel: "noreferrer" }, network.paper),
    Parameters: network && count(network.parameters),
    "Multiply-adds": network && `${count(network.macs)} for ${dimensions(network.size)} pixels`,
    Input: `${dimensions(input.size)} pixels, ${input.channels === 1 ? "grey" : "colour"}, the middle ${Math.round(100 * input.crop_fraction)}\u00a0%, ${input.interpolation}`,
    Classes: `${card.classes}: ${shown}${card.classes > 12 ? ", …" : ""}`,
    Scores: card.multi_label ? "each stands for itself: several classes may apply" : "add up to 1: one class applies",
    Evidence: card.explain ? `maps of evidence for each class${quantization ? ", computed without int8" : ""}` : "no maps of evidence",
    Exported: new Date(card.created).toLocaleString(),
  };
  return [
    !card.trained && element("p", { class: "untrained" }, element("strong", {}, "Untrained"), "The weights are random."),
    element("dl", {}, ...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
  ].filter(Boolean);
}
