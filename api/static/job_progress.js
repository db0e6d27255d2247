/** How far an upload or a job is: a bar, words, and a button to cancel it. */

import { announce, element, icon, uniqueId } from "./dom.js";
import { problemWords } from "./problems.js";
import { formatBytes, formatDuration, text } from "./texts.js";

const SPOKEN_SHARES = 4; // progress is spoken in quarters,
const SPOKEN_MS = 5000; // and not more often than this

export class JobProgress {
  #bar;
  #words = element("p", { id: uniqueId("progress") });
  #reason = element("p", { class: "notice", hidden: true });
  #spoken = { share: 0, time: performance.now() };

  /** onCancel() is called once, when the person wants to cancel. */
  constructor(onCancel) {
    this.#bar = element("progress", { attributes: { "aria-labelledby": this.#words.id } });
    const cancel = element(
      "button",
      { type: "button", class: "button" },
      icon("close"),
      text("jobs.progress.cancel"),
    );
    cancel.onclick = () => {
      if (cancel.hasAttribute("aria-disabled")) return;
      cancel.setAttribute("aria-disabled", "true"); // it keeps the focus
      onCancel();
    };
    this.element = element(
      "div",
      { class: "job-progress" },
      this.#bar,
      this.#words,
      this.#reason,
      element("p", {}, cancel),
    );
  }

  /** Show that something goes on of which nobody knows how long it takes. */
  showWords(words) {
    this.#words.textContent = words;
    this.#bar.removeAttribute("value");
  }

  /** sent, all: bytes of the upload. */
  showUpload(sent, all) {
    const words = { sent: formatBytes(sent), all: formatBytes(all) };
    if (sent < all) this.#show(sent, all, text("jobs.progress.bytes", words));
    else this.showWords(text("jobs.progress.stored"));
  }

  /** job: the service's answer, with numbers of files and the seconds left. */
  showJob({ state, total, done, unreadable, seconds_left: left, reason }) {
    this.#showReason(reason ? problemWords(reason) : null);
    if (total === null) {
      this.showWords(text(state === "queued" ? "jobs.progress.queued" : "jobs.progress.counting"));
      return;
    }
    const words = [text("jobs.progress.files", { done, count: total })];
    if (unreadable) words.push(text("jobs.progress.unreadable", { count: unreadable }));
    if (left !== null)
      words.push(text("jobs.progress.left", { duration: formatDuration(roundSeconds(left)) }));
    this.#show(done, total, words.join(" · "));
  }

  #show(done, total, words) {
    this.#words.textContent = words;
    this.#bar.max = total;
    this.#bar.value = done;
    const share = Math.floor((SPOKEN_SHARES * done) / total);
    const time = performance.now();
    if (share <= this.#spoken.share || done === total || time < this.#spoken.time + SPOKEN_MS) return;
    this.#spoken = { share, time };
    announce(words);
  }

  /** words: of the problem that a job waits for, or null. */
  #showReason(words) {
    const said = words ? `${text("jobs.progress.reason", words)} ${words.detail}` : "";
    if (said && said !== this.#reason.textContent) announce(said);
    this.#reason.textContent = said;
    this.#reason.hidden = !said;
  }
}

/** Rounded as far as one can trust it. */
function roundSeconds(seconds) {
  const step = seconds < 10 ? 1 : seconds < 60 ? 5 : seconds < 600 ? 10 : 60;
  return Math.ceil(seconds / step) * step;
}
