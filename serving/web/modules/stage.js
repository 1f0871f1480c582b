// The current picture with the evidence for a class over it, and all pictures as thumbnails.

import { LETTERS } from "./board.js";
import { announce, byId, element, update } from "./dom.js";
import { sentence } from "./format.js";
import { brightestPlace, drawHeat } from "./heat.js";
import { trainedLetters, verdictOn } from "./columns.js";

const picture = /** @type {HTMLImageElement} */ (byId("picture"));
const heat = /** @type {HTMLCanvasElement} */ (byId("heat"));
const opacity = /** @type {HTMLInputElement} */ (byId("opacity"));

/** @param {import("./board.js").Board} board */
export function createStage(board) {
  let drawn = null;
  let failed = null;

  async function draw(evidence) {
    await picture.decode().catch(() => {});
    if (board.evidence !== evidence || !picture.naturalWidth) return;
    drawHeat(heat, picture.naturalWidth, picture.naturalHeight, evidence.map);
    const place = brightestPlace(evidence.map.grid);
    heat.setAttribute("aria-label", `Evidence for ${evidence.label}: strongest at the ${place} of what the network sees`);
    announce(`The evidence for ${evidence.label} is strongest at the ${place}.`);
  }

  function showPicture() {
    const { current } = board;
    document.body.classList.toggle("has-pictures", Boolean(current));
    const isLeaving = Boolean(current) && byId("empty").contains(document.activeElement);
    byId("stage").hidden = !current;
    byId("empty").hidden = Boolean(current);
    if (!current) return;
    if (isLeaving) document.querySelector("#stage [data-choose]").focus({ preventScroll: true });
    if (picture.dataset.id !== String(current.id)) {
      picture.dataset.id = String(current.id);
      byId("unshowable").hidden = true;
      picture.hidden = false;
      picture.src = current.url;
      picture.alt = current.name;
    }
    byId("picture-name").textContent = current.name;
  }

  function showEvidence() {
    const { evidence } = board;
    const isDrawn = Boolean(evidence?.map);
    heat.hidden = !isDrawn;
    byId("frame").classList.toggle("explained", isDrawn);
    byId("evidence-controls").hidden = !isDrawn;
    byId("evidence").replaceChildren(...evidenceText(board));
    if (isDrawn && drawn !== evidence) draw(evidence);
    drawn = isDrawn ? evidence : null;
    if (evidence?.error && failed !== evidence) announce(errorText(evidence));
    failed = evidence?.error ? evidence : null;
  }

  function showThumbnails() {
    const isHidden = board.pictures.length < 2;
    byId("thumbnails").hidden = isHidden;
    byId("summary").textContent = isHidden ? "" : summary(board);
    if (isHidden) return;
    update(byId("thumbnails"), ...board.pictures.map((each) => thumbnail(board, each)));
  }

  picture.addEventListener("error", () => {
    picture.hidden = true;
    byId("unshowable").hidden = false;
  });
  opacity.addEventListener("input", () => {
    heat.style.opacity = String(Number(opacity.value) / 100);
    opacity.setAttribute("aria-valuetext", `${opacity.value} per cent`);
  });
  heat.style.opacity = String(Number(opacity.value) / 100);
  byId("hide-evidence").addEventListener("click", () => {
    const { contender, index } = board.evidence;
    board.hideEvidence();
    board.changed();
    document.querySelector(`[data-focus="class ${board.contenders.indexOf(contender)} ${index}"]`)?.focus();
  });
  byId("remove-picture").addEventListener("click", () => {
    announce(`${board.current.name} is removed.`);
    board.remove(board.current);
    (board.current ? byId("remove-picture") : document.querySelector("#empty [data-choose]")).focus();
  });

  return () => {
    showPicture();
    showEvidence();
    showThumbnails();
  };
}

const errorText = ({ error }) => `${error.message}. ${error.advice ?? ""}`;

function evidenceText(board) {
  const { evidence } = board;
  if (!evidence) {
    const hasMaps = board.contenders.some((contender) => board.answerTo(contender)?.card?.explain);
    return hasMaps ? ["Choose a class to see where in the picture its evidence is."] : [];
  }
  if (evidence.error) return [element("span", { class: "bad" }, errorText(evidence))];
  const letter = LETTERS[board.contenders.indexOf(evidence.contender)];
  if (!evidence.map) return [`Looking for the evidence for “${evidence.label}”…`];
  const isUntrained = !board.answerTo(evidence.contender)?.classification?.trained;
  return [
    element("span", { class: `badge ${letter}` }, letter),
    element("span", {}, `Where ${evidence.contender.model}, version ${evidence.version}, sees `, element("b", {}, `“${evidence.label}”`)),
    isUntrained && element("strong", { class: "bad" }, " Untrained: the map means nothing."),
  ].filter(Boolean);
}

function thumbnail(board, each) {
  const { kind, short } = verdictOn(board, each);
  const mark = { agree: "✓", differ: "≠", none: "" }[kind];
  const caption = element("span", { class: `verdict ${kind}` }, mark && element("span", { "aria-hidden": "true" }, mark), short);
  const show = () => board.show(each);
  return element(
    "li",
    {},
    element(
      "button",
      { type: "button", onclick: show, "aria-pressed": String(each === board.current), "data-focus": `picture ${each.id}` },
      element("img", { src: each.url, alt: each.name, decoding: "async" }),
      caption,
    ),
  );
}

function summary(board) {
  const kinds = board.pictures.map((each) => verdictOn(board, each).kind);
  const compared = kinds.filter((kind) => kind !== "none").length;
  if (!compared) return `${board.pictures.length} pictures`;
  const agreeing = kinds.filter((kind) => kind === "agree").length;
  return `${sentence(trainedLetters(board))} agree on ${agreeing} of ${compared} pictures`;
}
