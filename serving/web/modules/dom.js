// Elements. All text becomes text nodes, so that no name, label or error is ever read as HTML.

/**
 * Create an element.
 * @param {string} tag
 * @param {Record<string, any>} attributes Names with "on" are listeners; true, false and null set or leave out.
 * @param {...(Node | string | null | false)} children
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null && child !== false));
  return made;
}

/** @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Replace children without taking the focus away: an element with the same `data-focus` gets it back. */
export function replaceKeepingFocus(parent, ...children) {
  keepingFocus(parent, () => parent.replaceChildren(...children));
}

/**
 * Replace the children that differ from what was made anew; equal children stay, with their listeners: a click that has
 * begun when an answer arrives is not lost, and pictures are not decoded again. Listeners of equal children do the same.
 * @param {Element} parent
 * @param {...(Node | string)} children
 */
export function update(parent, ...children) {
  const made = document.createDocumentFragment();
  made.append(...children);
  const before = [...parent.childNodes];
  keepingFocus(parent, () => {
    for (const child of [...made.childNodes]) {
      const old = before.shift();
      if (!old) parent.append(child);
      else if (!old.isEqualNode(child)) old.replaceWith(child);
    }
    for (const old of before) old.remove();
  });
}

function keepingFocus(parent, change) {
  const focused = parent.contains(document.activeElement) && document.activeElement.dataset.focus;
  change();
  if (focused && !parent.contains(document.activeElement)) parent.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

/** Tell a screen reader what has changed elsewhere on the page. */
export function announce(text) {
  byId("announcements").textContent = text;
}
