/** Makes elements, puts the texts into the page, and speaks to screen readers. */

import { text } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
const SPOKEN_MS = 10_000; // how long a message stays in the live region

/**
 * An element.
 *
 * options: `class`, `attributes` (null and undefined are left out), and properties such as `onclick` or
 * `textContent`. children: nodes or texts; null, undefined and false are left out.
 */
export function element(tag, { class: className, attributes = {}, ...properties } = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  setAttributes(made, attributes);
  Object.assign(made, properties);
  made.append(...present(children));
  return made;
}

/** An SVG element; its attributes are as in SVG, such as `stroke-width`. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  setAttributes(made, attributes);
  made.append(...present(children));
  return made;
}

/** A copy of one of the drawings in `index.html`, which says nothing to screen readers. */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#icon-${name}` }));
}

/** Fill all elements below `root` that name a text: `data-text` its content, `data-label` its label. */
export function fillTexts(root) {
  for (const one of root.querySelectorAll("[data-text]")) one.textContent = text(one.dataset.text);
  for (const one of root.querySelectorAll("[data-label]"))
    one.setAttribute("aria-label", text(one.dataset.label));
}

/** Have a screen reader say `message` when it is done with others; not again while it still stands there. */
export function announce(message) {
  const region = document.getElementById("live");
  if ([...region.children].some((line) => line.textContent === message)) return;
  const line = element("p", { textContent: message });
  region.append(line);
  setTimeout(() => line.remove(), SPOKEN_MS);
}

const styles = new Map();

/** Load a style sheet of `static/`, once. Resolves when it applies, or has failed. */
export function loadStyle(name) {
  if (!styles.has(name)) {
    const link = element("link", { rel: "stylesheet", href: `static/${name}` });
    styles.set(name, new Promise((resolve) => (link.onload = link.onerror = resolve)));
    document.head.append(link);
  }
  return styles.get(name);
}

let ids = 0;

/** An id that no other element of the page has. */
export function uniqueId(prefix) {
  return `${prefix}-${++ids}`;
}

function setAttributes(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
