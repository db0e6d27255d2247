/** The files of a job's result, as the service gives them. */

import { element, icon, uniqueId } from "./dom.js";
import { problemWords } from "./problems.js";
import { request } from "./service.js";
import { text } from "./texts.js";

const LABELS = ["REAL", "FAKE"];

/**
 * Buttons that save a job's files, byte for byte the service's answers, and a switch of the label whose
 * probability they hold.
 *
 * positive: the job's own label, with which the file is also that in the service's output folder. unreadable:
 * how many files could not be read. signal, onWait: as of every call.
 */
export function downloads(job, { positive, unreadable, signal, onWait }) {
  let chosen = positive;
  const fault = element("p", { class: "notice", hidden: true, attributes: { role: "alert" } });
  const path = (options) => {
    const query = new URLSearchParams(chosen === positive ? options : { ...options, positive: chosen });
    return `batch/${encodeURIComponent(job.id)}/result?${query}`.replace(/\?$/, "");
  };
  const files = [
    [`${job.team}_prediction.json`, () => path()],
    [`${job.team}_prediction.csv`, () => path({ format: "csv" })],
  ];
  if (unreadable)
    files.push([`${job.team}_unreadable.json`, () => `batch/${encodeURIComponent(job.id)}/unreadable`]);
  const buttons = files.map(([name, address]) => {
    const onclick = async () => {
      if (button.hasAttribute("aria-disabled")) return;
      button.setAttribute("aria-disabled", "true"); // it keeps the focus
      fault.hidden = true;
      try {
        save(await (await request(address(), { signal, onWait })).blob(), name);
      } catch (error) {
        if (error.name === "AbortError") return;
        const { title: what, advice } = problemWords(error);
        fault.textContent = `${what}. ${advice}`;
        fault.hidden = false;
      } finally {
        button.removeAttribute("aria-disabled");
      }
    };
    const button = element("button", { type: "button", class: "button", onclick }, icon("download"), name);
    return button;
  });
  const group = uniqueId("positive");
  const choices = LABELS.map((label) => {
    const choose = () => (chosen = label);
    const input = element("input", {
      type: "radio",
      name: group,
      checked: label === positive,
      onchange: choose,
    });
    return element("label", { class: "choice" }, input, text(`jobs.downloads.${label}`));
  });
  const title = uniqueId("downloads");
  return element(
    "section",
    { class: "downloads", attributes: { "aria-labelledby": title } },
    element("h3", { id: title, textContent: text("jobs.downloads.title") }),
    element(
      "fieldset",
      { class: "choices" },
      element("legend", {}, text("jobs.downloads.positive")),
      choices,
    ),
    element("div", { class: "buttons" }, buttons),
    fault,
    element("p", { class: "small", textContent: text("jobs.downloads.note") }),
  );
}

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = element("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address)); // after the browser has begun to read it
}
