/** The tab with the call that was just made, for programs in three languages. */

import { copyButton } from "./copy_button.js";
import { element, loadStyle } from "./dom.js";
import { hasKey, lastCall } from "./service.js";
import { batchCode, pictureCode } from "./snippets.js";
import { text } from "./texts.js";

const LANGUAGES = { curl: null, python: "requests", javascript: "browser" }; // and the key of a remark
const SAMPLE = { kind: "picture", name: "picture.png", query: new URLSearchParams({ provenance: "1" }) };
const MAX_ANSWER_STRING = 120; // characters; data URLs are longer

let shownIn = null; // the panel

/** Show the calls in `panel`, and from then on each new one. */
export async function showPrograms(panel) {
  await loadStyle("panels.css");
  if (!shownIn) document.addEventListener("service-call", render);
  shownIn = panel;
  render();
}

function render() {
  const call = lastCall ?? SAMPLE;
  const make = call.kind === "batch" ? batchCode : pictureCode;
  const code = make(call, { base: new URL(".", document.baseURI).href, withKey: hasKey() });
  shownIn.replaceChildren(
    element(
      "section",
      { class: "panel-section" },
      element("h2", {}, text("programs.title")),
      element("p", {}, lastCall ? text(`programs.${call.kind}`, { name: call.name }) : text("programs.none")),
      hasKey() && element("p", { class: "small" }, text("programs.key")),
    ),
    ...Object.entries(LANGUAGES).map(([name, remark]) =>
      block(text(`programs.${name}`), code[name], remark && text(`programs.${remark}`)),
    ),
    ...(call.answer ? [answerBlock(call.answer)] : []),
    element(
      "p",
      {},
      text("programs.more"),
      element("a", { href: "docs" }, text("programs.docs")),
      ", ",
      element("a", { href: "openapi.json" }, text("programs.openapi")),
    ),
  );
}

/** A piece of code with its name. source: what is copied. */
function block(name, code, remark, source = code) {
  return element(
    "section",
    { class: "panel-section" },
    element(
      "div",
      { class: "code-header" },
      element("h3", {}, name),
      copyButton(() => source, name),
    ),
    remark && element("p", { class: "small" }, remark),
    element(
      "pre",
      { tabIndex: 0, attributes: { role: "region", "aria-label": name } },
      element("code", {}, code),
    ),
  );
}

function answerBlock(answer) {
  const [name, remark] = [text("programs.answer"), text("programs.shortened")];
  return block(name, shortened(answer), remark, JSON.stringify(answer));
}

function shortened(answer) {
  const cut = (_, value) =>
    typeof value === "string" && value.length > MAX_ANSWER_STRING ? `${value.slice(0, 40)}…` : value;
  return JSON.stringify(answer, cut, 2);
}
