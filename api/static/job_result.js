/** The result of a job: what came out, the histogram, the table with its filters, and the files. */

import { announce, element, icon, uniqueId } from "./dom.js";
import { downloads } from "./downloads.js";
import { Histogram } from "./histogram.js";
import { FILTERS, SERVICE_THRESHOLD, countRows, readRows, selectRows } from "./predictions.js";
import { ResultsTable } from "./results_table.js";
import { formatDuration, formatNumber, text } from "./texts.js";

const SPOKEN_AFTER_MS = 1000; // without another change

/**
 * The element of a job's result.
 *
 * result: of `/batch/ID/result?detail=1`. files: Map from names to the files that the browser has. onDelete():
 * the person wants the result deleted. signal, onWait: as of every call.
 */
export function jobResult(job, { result, files, onDelete, signal, onWait }) {
  const rows = readRows(result);
  const { summary } = result;
  const view = { filter: "all", search: "", column: "name", descending: false, threshold: SERVICE_THRESHOLD };
  const histogram = new Histogram({
    onThreshold: (threshold) => {
      view.threshold = threshold;
      showSoon();
    },
  });
  const table = new ResultsTable({
    fileOf: (name) => files.get(name),
    onSort: (column) => {
      view.descending = view.column === column && !view.descending;
      view.column = column;
      show(true);
    },
  });
  const chips = filterChips((filter) => {
    view.filter = filter;
    show(true);
  });
  const status = element("p", { class: "small" });
  const search = element("input", {
    type: "search",
    attributes: { spellcheck: "false", autocomplete: "off" },
    oninput: () => {
      view.search = search.value;
      show(true);
    },
  });

  let frame = 0;
  const showSoon = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => show(false));
  };
  let spoken;
  const show = (fromTop) => {
    const counts = countRows(rows, view.threshold);
    const chosen = selectRows(rows, view);
    table.show(chosen, { ...view, fromTop }); // first: to read its place lays out what is written before
    histogram.showThreshold(view.threshold, counts);
    for (const name of FILTERS) chips.numbers[name].textContent = formatNumber(counts[name]);
    const words = text("jobs.table.shown", { count: chosen.length, all: rows.length });
    if (words === status.textContent) return;
    const first = !status.textContent;
    status.textContent = words;
    clearTimeout(spoken);
    if (!first) spoken = setTimeout(() => announce(words), SPOKEN_AFTER_MS);
  };

  const heading = uniqueId("table");
  const made = element(
    "div",
    { class: "job-result" },
    element(
      "p",
      {},
      text("jobs.result.summary", {
        real: summary.real,
        fake: summary.fake,
        unreadable: summary.unreadable,
        duration: formatDuration(Math.max(1, summary.seconds)),
        model: summary.model,
      }),
    ),
    outsideNotice(summary.out_of_domain),
    histogram.element,
    element(
      "section",
      { class: "job-table", attributes: { "aria-labelledby": heading } },
      element("h3", { id: heading, textContent: text("jobs.table.title") }),
      chips.element,
      element(
        "div",
        { class: "job-search" },
        status,
        element("label", {}, element("span", {}, text("jobs.table.search")), search),
      ),
      table.element,
    ),
    downloads(job, { positive: summary.positive, unreadable: summary.unreadable, signal, onWait }),
    element(
      "p",
      { class: "job-delete" },
      element(
        "button",
        { type: "button", class: "button quiet", onclick: onDelete },
        text("jobs.result.delete"),
      ),
    ),
  );
  histogram.drawBars(rows);
  show(true);
  return made;
}

/** What labels are guesses, said before them; false if none are. */
function outsideNotice({ size, content }) {
  const kinds = [
    size && text("jobs.result.size", { count: size }),
    content && text("jobs.result.content", { count: content }),
  ];
  const words = text("jobs.result.outside", {
    count: size + content,
    kinds: kinds.filter(Boolean).join(", "),
  });
  return size + content > 0 && element("div", { class: "notice" }, icon("warning"), element("p", {}, words));
}

/** One choice of the filters, each with its number of rows. */
function filterChips(onChoose) {
  const group = uniqueId("filter");
  const numbers = {};
  const chips = FILTERS.map((name) => {
    numbers[name] = element("span", { class: "chip-number" });
    const input = element("input", {
      type: "radio",
      name: group,
      checked: name === "all",
      onchange: () => onChoose(name),
    });
    return element(
      "label",
      { class: "chip" },
      input,
      element("span", {}, text(`jobs.filter.${name}`)),
      numbers[name],
    );
  });
  const legend = element("legend", { class: "visually-hidden" }, text("jobs.filter.legend"));
  return { element: element("fieldset", { class: "chips" }, legend, chips), numbers };
}
