// Puts the page together.

import { Board, LETTERS, MAX_PICTURES } from "./board.js";
import { acceptCamera } from "./camera.js";
import { createCode } from "./code.js";
import { createColumns, verdictOn } from "./columns.js";
import { announce, byId } from "./dom.js";
import { percent } from "./format.js";
import { changeKey, currentKey } from "./key.js";
import { createModelsView } from "./models_view.js";
import { acceptPictures } from "./pictures.js";
import { createStage } from "./stage.js";

const board = new Board();
const views = [createColumns(board), createStage(board), createCode(board), createModelsView(board, openComparison)];

board.addEventListener("change", () => {
  for (const render of views) render();
  byId("no-models").hidden = !board.models || board.served().length > 0;
  announceAnswers();
});

/** Read the answers out when all of them have arrived. */
let announced = "";
function announceAnswers() {
  const answers = board.contenders.map((contender) => board.answerTo(contender));
  if (!board.current || !answers.length || !answers.every((answer) => answer && answer.state !== "waiting")) {
    announced = ""; // the same answer is read out again if it was asked for again
    return;
  }
  const parts = answers.map((answer, place) => {
    if (answer.error) return `${LETTERS[place]}: ${answer.error.message}. ${answer.error.advice}`;
    const { scores, trained } = answer.classification;
    return `${LETTERS[place]}: ${scores[0].label}, ${percent(scores[0].score)}${trained ? "" : ", untrained"}`;
  });
  const text = [board.current.name, ...parts, verdictOn(board, board.current).text].filter(Boolean).join(". ");
  if (text !== announced) announce((announced = text));
}

function notice(text) {
  byId("notice-text").textContent = text;
  byId("notice").hidden = !text;
}

function receive(files) {
  notice("");
  showClassify();
  const left = board.add(files);
  byId("frame").scrollIntoView({ block: "nearest" }); // on a phone the samples are far below the picture
  if (left) notice(`There is room for ${MAX_PICTURES} pictures: ${left} ${left > 1 ? "were" : "was"} left out. Remove some first.`);
}

function openComparison(model, selector) {
  const [first] = board.contenders;
  if (board.current && board.contenders.length < LETTERS.length) board.compare(model, selector);
  else board.choose(first, model, selector);
  showClassify();
}

/** Go to the pictures from another view; within the view, focus and history stay as they are. */
function showClassify() {
  if (location.hash === "#models") location.hash = "#classify";
}

function showView(isFirst = false) {
  const name = location.hash === "#models" ? "models" : "classify";
  for (const view of document.querySelectorAll("main > [data-view]")) view.hidden = view.dataset.view !== name;
  for (const link of document.querySelectorAll("nav a[href^='#']")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isFirst) return;
  byId(`${name}-title`).focus();
  if (name === "models") loadModels();
}

function showKey() {
  byId("change-key").textContent = currentKey() ? "Key ✓" : "Key";
  // a link cannot carry the key
  byId("docs-link").hidden = Boolean(currentKey());
}

async function loadModels() {
  try {
    await board.loadModels();
    byId("retry-models").hidden = true;
  } catch (error) {
    byId("retry-models").hidden = false;
    notice(`${error.message}. ${error.detail ?? ""} ${error.advice ?? ""}`);
    board.changed();
  }
}

// a link to the content would leave the view, which is the fragment of the address
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });
byId("dismiss-notice").addEventListener("click", () => notice(""));
byId("retry-models").addEventListener("click", () => { notice(""); loadModels(); });
byId("change-key").addEventListener("click", changeKey);
addEventListener("keychange", () => { showKey(); notice(""); loadModels().then(() => board.retryAll()); });
addEventListener("hashchange", () => showView());
acceptPictures(receive, notice);
acceptCamera(receive, notice);
showKey();
showView(true);
board.changed();
loadModels();
