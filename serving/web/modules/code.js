// The lines that do on a command line and in Python what the page has just done.

import { LETTERS, pathOf } from "./board.js";
import { announce, byId } from "./dom.js";
import { ROOT } from "./gateway.js";
import { currentKey } from "./key.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {import("./board.js").Board} board */
function curlLines(board) {
  const file = quoted(`@${board.current.name}`);
  const type = board.current.blob.type || "application/octet-stream";
  const key = currentKey() ? ` \\\n  -H "Authorization: Bearer $KERAS_ARCHS_KEY"` : "";
  const call = (path) => `curl -s -H ${quoted(`Content-Type: ${type}`)}${key} \\\n  --data-binary ${file} \\\n  ${quoted(ROOT + path)}`;
  const { evidence } = board;
  return [
    ...board.contenders.map((contender) => call(`classify/${pathOf(contender)}`)),
    ...(evidence ? [call(`explain/${encodeURIComponent(evidence.contender.model)}/versions/${evidence.version}?class=${evidence.index}`)] : []),
  ].join("\n\n");
}

/** @param {import("./board.js").Board} board */
function pythonLines(board) {
  const text = JSON.stringify; // a text in Python's notation as well
  const { evidence, current } = board;
  const selected = ({ model, selector }) => {
    const [kind, value] = selector.split("/");
    const by = { versions: `, version=${value}`, labels: `, label=${text(decodeURIComponent(value ?? ""))}` }[kind] ?? "";
    return `${text(current.name)}, ${text(model)}${by}`;
  };
  const names = board.contenders.map((_, place) => LETTERS[place].toLowerCase());
  const key = currentKey() ? `, key=os.environ["KERAS_ARCHS_KEY"]` : "";
  const address = text(ROOT.replace(/\/$/, ""));
  return [
    ...(key ? ["import os", ""] : []),
    "from keras_archs.client import Client",
    "",
    `with Client(${address}${key}) as client:`,
    ...board.contenders.map((contender, place) => `    ${names[place]} = client.classify(${selected(contender)})`),
    ...(evidence
      ? [`    evidence = client.explain(${text(current.name)}, ${text(evidence.contender.model)}, version=${evidence.version}, index=${evidence.index})`]
      : []),
    ...names.map((name) => `print(${name}.best.label, ${name}.best.score)`),
    ...(evidence ? ["print(evidence.grid)"] : []),
  ].join("\n");
}

/** Lines that stay the same are left alone: a person may have selected them. */
function show(id, lines) {
  if (byId(id).textContent !== lines) byId(id).textContent = lines;
}

async function copy(button) {
  const code = byId(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    announce("Copied");
  } catch {
    // browsers give the clipboard only over HTTPS or on this machine
    getSelection().selectAllChildren(code);
    button.textContent = "Press Ctrl+C";
    announce("The lines are selected: press Control and C.");
  }
  setTimeout(() => (button.textContent = "Copy"), 2500);
}

/** @param {import("./board.js").Board} board */
export function createCode(board) {
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
  return () => {
    byId("code").hidden = !board.current || !board.contenders.length;
    if (byId("code").hidden) return;
    show("curl", curlLines(board));
    show("python", pythonLines(board));
  };
}
