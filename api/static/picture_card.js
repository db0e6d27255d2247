/** The card of one picture: the picture, what the network saw and answered, or why there is no answer. */

import { announce, element, icon, uniqueId } from "./dom.js";
import { problemWords, waitWords } from "./problems.js";
import { predict } from "./service.js";
import { text } from "./texts.js";

const SMALL = 128; // up to so many pixels wide a picture is enlarged, with its pixels as squares
const OF_THE_FILE = ["empty", "too-large", "unsupported-format", "broken-file"]; // no retry helps

export class PictureCard {
  /**
   * file: the picture. name: to be shown. truth: of an example, "REAL", "FAKE" or "drawn", else undefined.
   * onChange(card): called when the card has an answer, has failed, or is removed: `card.state` says which.
   *
   * answer: of the service; null until there is one. spoken: what a screen reader is told when it is done.
   * state: "waiting", "asking", "answered", "failed" or "removed".
   */
  constructor(file, { name, truth, onChange }) {
    Object.assign(this, { file, name, truth, onChange, answer: null, spoken: "" });
    this.abort = new AbortController();
    this.url = URL.createObjectURL(file);
    this.body = element("div", { class: "card-body" });
    this.picture = figure(this.url, { alt: name, caption: text("card.picture") });
    const image = this.picture.querySelector("img");
    image.onerror = () => this.#showNoPreview();
    image.onload = () => this.picture.classList.toggle("pixels", image.naturalWidth <= SMALL);
    this.figures = element("div", { class: "figures" }, this.picture);
    this.size = element("span", { class: "small" });
    const title = element("h3", { id: uniqueId("card"), title: name }, element("bdi", {}, name));
    this.node = element(
      "li",
      { class: "card picture-card", attributes: { "aria-labelledby": title.id } },
      element("div", { class: "card-header" }, title, this.size, this.#removeButton()),
      this.body,
      this.figures,
    );
    this.#show("waiting", element("p", { class: "busy" }, text("card.queued")));
  }

  /** Ask the service, and show its answer or what went wrong. Never throws. */
  async ask() {
    const { signal } = this.abort;
    if (signal.aborted) return;
    const line = element("p", { class: "busy" }, text("card.asking"));
    this.#show("asking", line);
    const onWait = (wait) => {
      line.textContent = wait ? waitWords(wait) : text("card.asking");
      if (wait) announce(line.textContent);
    };
    try {
      await this.#showAnswer(await predict(this.file, { provenance: true, input: true, signal, onWait }));
    } catch (error) {
      if (!signal.aborted) this.#showProblem(error);
    }
    if (!signal.aborted) this.onChange(this);
  }

  /** Take the card away, end its request, and free its picture. */
  remove() {
    this.abort.abort();
    URL.revokeObjectURL(this.url);
    this.node.remove();
    this.state = "removed";
    this.onChange(this);
  }

  #show(state, ...children) {
    this.state = this.node.dataset.state = state;
    this.body.replaceChildren(...children);
  }

  async #showAnswer(answer) {
    const { answerNodes, spokenVerdict } = await import("./picture_answer.js"); // the service is there
    const view = figure(answer.input, { caption: text("card.view"), pixels: true });
    const image = view.querySelector("img");
    await image.decode();
    this.abort.signal.throwIfAborted();
    const size = image.naturalWidth;
    image.alt = text("card.viewAlt", { size });
    this.answer = answer;
    this.spoken = text("answers.spoken", { name: this.name, verdict: spokenVerdict(answer) });
    this.size.textContent = text("card.size", { width: String(answer.width), height: String(answer.height) });
    this.view = view;
    this.figures.append(view);
    if (this.unshown) this.#showNoPreview();
    const { file, truth, figures, abort } = this;
    this.#show("answered", ...answerNodes(answer, { size, file, truth, figures, signal: abort.signal }));
  }

  #showProblem(error) {
    const { title, advice, detail } = problemWords(error);
    this.spoken = text("answers.spoken", { name: this.name, verdict: title });
    const words = element(
      "div",
      {},
      element("p", {}, element("strong", {}, title)),
      element("p", {}, advice),
      detail && element("p", { class: "small" }, text("card.detail", { detail })),
    );
    const notice = element("div", { class: "notice" }, icon("warning"), words);
    const retry = { type: "button", class: "button", onclick: () => this.ask() };
    const again = OF_THE_FILE.includes(error.slug)
      ? []
      : [element("button", retry, icon("retry"), text("card.retry"))];
    this.#show("failed", notice, ...again);
  }

  /** Where the browser cannot show the file, what the network saw stands in its place. */
  #showNoPreview() {
    this.unshown = true;
    this.picture.remove();
    if (this.view) this.view.querySelector("figcaption").textContent = text("card.viewOnly");
  }

  #removeButton() {
    return element(
      "button",
      {
        type: "button",
        class: "icon-button",
        attributes: { "aria-label": text("card.remove", { name: this.name }) },
        onclick: () => {
          const next = this.node.nextElementSibling ?? this.node.previousElementSibling;
          (next?.querySelector(".card-header button") ?? document.getElementById("choose-files")).focus();
          this.remove();
          announce(text("card.removed", { name: this.name }));
        },
      },
      icon("close"),
    );
  }
}

function figure(source, { alt = "", caption, pixels = false }) {
  return element(
    "figure",
    { class: pixels ? "pixels" : "" },
    element("div", { class: "frame" }, element("img", { src: source, alt, decoding: "async" })),
    element("figcaption", {}, caption),
  );
}
