/** A batch of pictures as a job, from its name to its result. The address `#job=ID` finds it again. */

import { announce, element, icon, loadStyle, uniqueId } from "./dom.js";
import { filesByName, jobForm, pathOf } from "./job_form.js";
import { JobProgress } from "./job_progress.js";
import { problemWords, waitWords } from "./problems.js";
import { ServiceError, cancelJob, getJob, getResult, sleep, submitJob } from "./service.js";
import { formatBytes, formatPercent, formatTime, text } from "./texts.js";

const HASH = "#job=";
const FIRST_POLL_MS = 250;
const LONGEST_POLL_MS = 2000;
const WAIT_SHOWN_MS = 500; // that a notice of waiting stays after the wait, since the next may begin at once

const uploads = new Map(); // of the jobs that were sent since the page was loaded, by their ids
let shown = null;

await loadStyle("job.css");
window.addEventListener("hashchange", () => {
  if (!location.hash.startsWith(HASH)) shown?.close();
});

/**
 * Ask for the name of a new job in `container`, in place of the one there, and send it.
 *
 * upload: `{ archive, files }`, one of which is null; see Upload in job_form.js.
 */
export function startJob(upload, container) {
  const panel = new JobPanel(container);
  panel.askName(upload);
  panel.focus();
}

/** Show the job of an id in `container`, in place of the one there, from its progress to its result. */
export function openJob(id, container) {
  new JobPanel(container).follow(id);
  container.scrollIntoView({ block: "nearest" });
}

class JobPanel {
  #abort = new AbortController();
  #heading = element("h2", { id: uniqueId("job"), tabIndex: -1 });
  #about = element("p", { class: "small" });
  #body = element("div", { class: "job-body" });
  #notice = element("p", { class: "notice", hidden: true });
  #element;
  #following = null; // ends the former `follow`
  #waiting = { reason: null, timer: 0 };

  constructor(container) {
    shown?.close();
    shown = this;
    const attributes = { "aria-label": text("jobs.close") };
    const close = { type: "button", class: "icon-button", attributes, onclick: () => this.leave() };
    this.#element = element(
      "section",
      { class: "card job", attributes: { "aria-labelledby": this.#heading.id } },
      element(
        "div",
        { class: "card-header" },
        element("div", {}, this.#heading, this.#about),
        element("button", close, icon("close")),
      ),
      this.#notice,
      this.#body,
    );
    container.replaceChildren(this.#element);
  }

  focus() {
    this.#heading.focus();
  }

  /** End what the panel does, and remove it. A job itself goes on. */
  close() {
    this.#abort.abort();
    clearTimeout(this.#waiting.timer);
    this.#element.remove();
    document.title = text("page.title");
    shown = null;
  }

  /** Close it because the person wants to, who can come back with the browser's button. */
  leave() {
    this.close();
    if (location.hash.startsWith(HASH)) history.pushState(null, "", location.pathname + location.search);
    document.getElementById("choose-files").focus();
  }

  askName(upload) {
    const { archive, files } = upload;
    const bytes = (files ?? [archive]).reduce((sum, { size }) => sum + size, 0);
    const title = archive ? archive.name : text("jobs.form.pictures", { count: files.length });
    this.#show(
      title,
      formatBytes(bytes),
      jobForm(upload, (chosen) => this.#send(chosen)),
    );
  }

  /** Upload, and follow the job. */
  async #send(upload) {
    const { archive, files, team, paths } = upload;
    const form = new FormData();
    if (archive) form.append("archive", archive, archive.name);
    for (const file of files ?? []) form.append("files", file, pathOf(file));
    const part = new AbortController();
    const call = this.#call(part);
    const progress = new JobProgress(() => {
      part.abort();
      this.#showCancelled(team, "jobs.ended.uploadCancelled", upload);
    });
    const title = text("jobs.progress.uploading", { name: team });
    progress.showWords(text("jobs.progress.preparing"));
    this.#show(title, "", progress.element);
    announce(title);
    window.addEventListener("beforeunload", (event) => event.preventDefault(), { signal: call.signal });
    try {
      const onProgress = (sent, all) => progress.showUpload(sent, all);
      const options = paths ? { names: "path" } : {};
      const job = await submitJob(form, { team, options, onProgress, ...call });
      uploads.set(job.id, upload);
      history.pushState(null, "", HASH + job.id);
      this.follow(job.id);
    } catch (error) {
      this.#fail(error, { retry: () => this.#send(upload), change: () => this.askName(upload) });
    } finally {
      part.abort();
    }
  }

  /** Show a job until it has ended, then its result. */
  async follow(id) {
    this.#following?.abort();
    const call = this.#call((this.#following = new AbortController()));
    const progress = new JobProgress(() => this.#cancel(id, call));
    this.#show(text("jobs.progress.asking"), "", progress.element);
    try {
      let job = await getJob(id, call);
      for (let pause = FIRST_POLL_MS; isActive(job); pause = Math.min(LONGEST_POLL_MS, pause * 1.5)) {
        this.#title(text("jobs.progress.title", { name: job.team }), sent(job));
        if (job.total) document.title = `${formatPercent(job.done / job.total)} · ${text("page.title")}`;
        progress.showJob({ ...job, reason: job.reason && problemOf(job.reason) });
        await sleep(pause, call.signal);
        job = await getJob(id, call);
      }
      await this.#showEnd(job, call);
    } catch (error) {
      this.#fail(error, { retry: () => this.follow(id) });
    }
  }

  /** Cancel a job, unless it has just ended: to delete it would then remove its result. */
  async #cancel(id, call) {
    try {
      if (isActive(await getJob(id, call))) await cancelJob(id, call);
      this.follow(id);
    } catch (error) {
      this.#fail(error, { retry: () => this.follow(id) });
    }
  }

  async #showEnd(job, call) {
    const upload = uploads.get(job.id);
    const state = text(`jobs.ended.${job.state}`);
    document.title = `${state} · ${text("page.title")}`;
    if (job.state === "cancelled") {
      this.#showCancelled(
        job.team,
        upload ? "jobs.ended.cancelledHere" : "jobs.ended.cancelledElsewhere",
        upload,
      );
      return;
    }
    const title = text(`jobs.ended.${job.state}Title`, { name: job.team });
    this.#title(title, sent(job));
    if (job.state === "failed") {
      this.#fail(problemOf(job.reason), upload && this.#again(upload));
      return;
    }
    const [{ jobResult }, answer] = await Promise.all([
      import("./job_result.js"),
      getResult(job.id, { query: { detail: "1" }, ...call }),
    ]);
    const result = await answer.json();
    const files = upload ? filesByName(upload) : new Map();
    const onDelete = () => this.#delete(job.id, call);
    this.#show(title, sent(job), jobResult(job, { result, files, onDelete, ...call }));
    announce(text("jobs.ended.spoken", { real: result.summary.real, fake: result.summary.fake }));
    if (this.#element.getBoundingClientRect().top < innerHeight) this.#element.scrollIntoView();
  }

  async #delete(id, call) {
    if (!confirm(text("jobs.result.sure"))) return;
    try {
      await cancelJob(id, call);
      this.leave();
      announce(text("jobs.result.deleted"));
    } catch (error) {
      this.#fail(error, { retry: () => this.follow(id) });
    }
  }

  /** key: of the words about it. upload: what can be sent again, if the browser still has it. */
  #showCancelled(team, key, upload) {
    announce(text("jobs.ended.cancelled"));
    const title = text("jobs.ended.cancelledTitle", { name: team });
    this.#show(title, "", element("p", {}, text(key)), upload && buttons(this.#again(upload)));
  }

  #again(upload) {
    return { retry: () => this.#send(upload), change: () => this.askName(upload) };
  }

  /** Say what went wrong. actions: what the person can do about it, if anything. */
  #fail(error, actions) {
    if (error.name === "AbortError") return;
    const gone = error.status === 404;
    const { title, advice, detail } = gone ? goneWords() : problemWords(error);
    const remedy = error.slug === "bad-request" ? text("jobs.refused") : advice;
    const words = element(
      "div",
      {},
      element("p", {}, element("strong", {}, title)),
      element("p", {}, remedy),
    );
    if (detail) words.append(element("p", { class: "small" }, detail));
    announce(`${title}. ${remedy}`);
    document.title = text("page.title");
    this.#show(
      gone ? text("jobs.gone.heading") : this.#heading.textContent,
      gone ? "" : this.#about.textContent,
      element("div", { class: "notice" }, icon("warning"), words),
      !gone && actions && buttons(actions),
    );
  }

  #title(title, about) {
    if (this.#heading.textContent !== title) this.#heading.textContent = title;
    this.#about.textContent = about;
  }

  /** Put nodes in place of those there. The focus does not get lost. */
  #show(title, about, ...nodes) {
    const focused = this.#body.contains(document.activeElement);
    this.#title(title, about);
    this.#showWait(null);
    this.#body.replaceChildren(...nodes.filter(Boolean));
    if (focused) this.focus();
  }

  /** What every call of the service is given. part: an AbortController that ends what the call is a part of. */
  #call(part) {
    const signal = AbortSignal.any([part.signal, this.#abort.signal]);
    return { signal, onWait: (wait) => this.#showWait(wait) };
  }

  /** Say that a call waits for the service, and why; the number of seconds is spoken only once. */
  #showWait(wait) {
    clearTimeout(this.#waiting.timer);
    if (wait) {
      this.#notice.textContent = waitWords(wait);
      this.#notice.hidden = false;
      if (this.#waiting.reason !== wait.reason) announce(waitWords(wait));
      this.#waiting.reason = wait.reason;
    } else {
      this.#waiting.timer = setTimeout(() => {
        this.#waiting.reason = null;
        this.#notice.hidden = true;
      }, WAIT_SHOWN_MS);
    }
  }
}

function isActive({ state }) {
  return state === "queued" || state === "running";
}

function sent({ created }) {
  return text("jobs.created", { time: formatTime(created) });
}

/** A job's reason as the error that an answer with this problem would be. */
function problemOf(reason) {
  return new ServiceError(reason.status, String(reason.type).split(":").pop(), reason.detail, reason);
}

/** Of an address without a job, of which the general words would say too little. */
function goneWords() {
  return { title: text("jobs.gone.title"), advice: text("jobs.gone.advice"), detail: "" };
}

function buttons({ retry, change }) {
  const again = { type: "button", class: "button primary", onclick: retry };
  const other = { type: "button", class: "button", onclick: change };
  return element(
    "div",
    { class: "buttons" },
    element("button", again, icon("retry"), text("jobs.retry")),
    change && element("button", other, text("jobs.change")),
  );
}
