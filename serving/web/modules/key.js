// The key of the gateway: asked for once, and kept in this tab's session only.

import { byId } from "./dom.js";

const STORED = "keras-archs key";
const dialog = /** @type {HTMLDialogElement} */ (byId("key-dialog"));
const input = /** @type {HTMLInputElement} */ (byId("key"));

/** @type {Promise<boolean> | null} The open dialog; many requests may wait for it. */
let asking = null;

export const currentKey = () => sessionStorage.getItem(STORED);

/**
 * Ask for another key than the one that was refused.
 * @param {string | null} refused
 * @returns {Promise<boolean>} Whether there is another key to try.
 */
export function anotherKey(refused) {
  if (currentKey() !== refused) return Promise.resolve(true);
  asking ??= open(refused ? "The gateway did not accept this key." : "").finally(() => (asking = null));
  return asking;
}

/** Let the person enter, change or forget the key. */
export const changeKey = () => (asking ??= open("").finally(() => (asking = null)));

function open(message) {
  const before = currentKey();
  complain(message);
  input.value = before ?? "";
  byId("key-forget").hidden = !before;
  dialog.showModal();
  input.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(currentKey() !== before), { once: true });
  });
}

function complain(message) {
  byId("key-error").textContent = message;
  input.setAttribute("aria-invalid", String(Boolean(message)));
}

function store(key) {
  if (key) sessionStorage.setItem(STORED, key);
  else sessionStorage.removeItem(STORED);
  dispatchEvent(new Event("keychange"));
  dialog.close();
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = input.value.trim();
  // a header takes these characters only
  if (/^[\x21-\x7e]+$/.test(key)) store(key);
  else complain("A key has letters, digits and signs, and no spaces. Copy it as it was given to you.");
});
byId("key-forget").addEventListener("click", () => store(""));
byId("key-cancel").addEventListener("click", () => dialog.close());
