// Where pictures come from: files that are chosen, dropped or pasted, and samples.

import { byId, element } from "./dom.js";
import { sample } from "./gateway.js";

const SAMPLES = [
  { file: "coffee.jpg", name: "Espresso", source: "Rachel Michetti, CC0" },
  { file: "chelsea.jpg", name: "Cat", source: "Stéfan van der Walt, CC0" },
  { file: "rocket.jpg", name: "Rocket", source: "SpaceX, public domain" },
  { file: "tripod.jpg", name: "Photographer", source: "Lav Varshney, CC0" },
];

/**
 * @param {(files: {name: string, blob: Blob}[]) => void} receive
 * @param {(text: string) => void} complain
 */
export function acceptPictures(receive, complain) {
  const take = (files, otherwise) => {
    const pictures = [...files].filter(({ type }) => !type || type.startsWith("image/"));
    const others = [...files].filter((file) => !pictures.includes(file));
    if (pictures.length) receive(pictures.map((file) => ({ name: file.name || "picture", blob: file })));
    if (others.length) complain(`${others.map(({ name }) => name).join(", ")}: not a picture. Choose JPEG, PNG, WebP, BMP or GIF files.`);
    else if (!pictures.length) complain(otherwise);
  };
  chosen(take);
  pasted(take);
  dropped(take);
  samples(receive, complain);
}

function chosen(take) {
  const input = /** @type {HTMLInputElement} */ (byId("files"));
  for (const button of document.querySelectorAll("[data-choose]")) button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files, "");
    input.value = ""; // the same file may be chosen again
  });
}

function pasted(take) {
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input, textarea, dialog")) return;
    take(event.clipboardData.files, "There is no picture in the clipboard. Copy a picture, not its address.");
  });
}

function dropped(take) {
  let depth = 0; // entering a child comes before leaving its parent
  const over = (change) => {
    depth = change ? depth + change : 0;
    document.body.classList.toggle("dropping", depth > 0);
  };
  addEventListener("dragenter", () => over(1));
  addEventListener("dragleave", () => over(depth > 1 ? -1 : 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(0);
    take(event.dataTransfer.files, "What you dropped is no file. Save the picture first, and drop the file.");
  });
}

function samples(receive, complain) {
  byId("samples").append(
    ...SAMPLES.map(({ file, name, source }) => {
      const show = async () => {
        try {
          receive([{ name: file, blob: await sample(file) }]);
        } catch (error) {
          complain(`${error.message}. ${error.advice}`);
        }
      };
      const picture = element("img", { src: `static/${file}`, alt: "", loading: "lazy", width: 96, height: 72 });
      const label = element("span", { class: "sample-name" }, name, element("small", {}, source));
      return element("li", {}, element("button", { type: "button", class: "sample", onclick: show }, picture, label));
    }),
  );
}
