/** The tab that tells which model answers, how well it measures, and what it has never seen. */

import { element, loadStyle } from "./dom.js";
import { reliabilityDiagram } from "./reliability_diagram.js";
import { getModel } from "./service.js";
import { formatNumber, formatPercent, numberFormat, text } from "./texts.js";
import { waitWords } from "./problems.js";

const PERCENT = numberFormat({ style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2 });
const DECIMAL = numberFormat({ minimumFractionDigits: 4, maximumFractionDigits: 4 });
/** Names of metrics, and how their values are written. */
const MEASURES = {
  accuracy: PERCENT,
  precision: PERCENT,
  recall: PERCENT,
  f1: DECIMAL,
  auroc: DECIMAL,
  ece: PERCENT,
};
const LIMITS = ["limitSize", "limitGenerators", "limitClasses", "limitChanges", "limitOwn"];

/** Ask the service, and show its answer in `panel`. Throws ServiceError. */
export async function showModel(panel) {
  const line = element("p", { class: "busy" }, text("model.loading"));
  if (!panel.childElementCount) panel.replaceChildren(line);
  await loadStyle("panels.css");
  const model = await getModel({
    onWait: (wait) => (line.textContent = wait ? waitWords(wait) : text("model.loading")),
  });
  const { test, validation } = model.metrics ?? {};
  const measured = test ?? validation;
  panel.replaceChildren(
    section("model.title", facts(model)),
    section(
      "model.measures",
      ...(measured ? measures(measured, model) : [element("p", {}, text("model.noMeasures"))]),
    ),
    section("model.reliability", ...reliability(measured?.reliability)),
    section(
      "model.limits",
      element(
        "ul",
        { class: "limits" },
        LIMITS.map((key) => element("li", {}, text(`model.${key}`, { size: model.preprocess.size }))),
      ),
    ),
  );
}

function section(title, ...children) {
  return element("section", { class: "card panel-section" }, element("h2", {}, text(title)), ...children);
}

function facts({ digest, recipe, engine, preprocess, data, calibration }) {
  const { temperature, power, shift } = calibration;
  const calibrated = temperature !== 1 || power !== 1 || shift !== 0;
  const pictures = data?.training?.pictures;
  const rows = [
    ["digest", element("span", { class: "digest" }, digest)],
    ["recipe", recipe?.name ?? text("model.unknown")],
    ["runs", text("model.engine", engine)],
    ["input", text("model.inputValue", { size: preprocess.size })],
    [
      "learned",
      pictures ? text("model.learnedValue", { count: pictures, kind: data.kind }) : text("model.unknown"),
    ],
    ["calibrated", text(calibrated ? "model.yes" : "model.no")],
  ];
  return element(
    "dl",
    { class: "facts" },
    rows.map(([key, value]) => [element("dt", {}, text(`model.${key}`)), element("dd", {}, value)]),
  );
}

/** measured: of test pictures, or else of those that training was validated with. */
function measures(measured, { engine, metrics }) {
  const rows = Object.entries(MEASURES).filter(([name]) => typeof measured[name] === "number");
  const precision = metrics.precisions?.[engine.precision];
  const source = text(measured === metrics.test ? "model.testText" : "model.validationText", {
    count: measured.pictures,
    engine: measured.engine,
  });
  return [
    element("p", { class: "small" }, `${source} ${text("model.intervals")}`),
    table(
      ["measure", "value", "interval"].map((key) => text(`model.${key}`)),
      rows.map(([name, format]) => [
        [text(`model.${name}`), element("span", { class: "small" }, text(`model.${name}Words`))],
        format.format(measured[name]),
        measured[`${name}_interval`] ? format.formatRange(...measured[`${name}_interval`]) : "",
      ]),
      [1, 2],
    ),
    measured.confusion && confusion(measured.confusion),
    precision && element("p", { class: "small" }, precisionWords(engine.precision, precision)),
  ].filter(Boolean);
}

function precisionWords(precision, { points_lost: lost, points_lost_interval: interval }) {
  const written = (value) => formatNumber(value, 2);
  return text("model.speed", {
    precision,
    points: written(lost),
    low: written(interval[0]),
    high: written(interval[1]),
  });
}

function confusion(counts) {
  const labels = ["REAL", "FAKE"];
  return table(
    [text("model.truth"), ...labels.map((label) => text("model.answeredAs", { label }))],
    labels.map((label) => [
      text(`labels.${label}`),
      ...labels.map((answer) => formatNumber(counts[label][answer])),
    ]),
    [1, 2],
    text("model.confusion"),
  );
}

function reliability(groups) {
  if (!groups?.length) return [element("p", {}, text("model.noReliability"))];
  const head = ["confidence", "rightShare", "pictures"].map((key) => text(`model.${key}`));
  const rows = groups.map(({ confidence, accuracy, pictures }) => [
    formatPercent(confidence, 1),
    formatPercent(accuracy, 1),
    formatNumber(pictures),
  ]);
  return [
    element("p", { class: "small" }, text("model.reliabilityText")),
    reliabilityDiagram(groups),
    element("details", {}, element("summary", {}, text("model.asTable")), table(head, rows, [0, 1, 2])),
  ];
}

/** numbers: indexes of the columns that hold numbers. The first column is the rows' heading. */
function table(head, rows, numbers, caption) {
  const classOf = (index) => (numbers.includes(index) ? "number" : "");
  const cells = (row) =>
    row.map((value, index) =>
      element(
        index ? "td" : "th",
        { class: classOf(index), attributes: { scope: index ? null : "row" } },
        value,
      ),
    );
  return element(
    "div",
    { class: "table-scroll" },
    element(
      "table",
      {},
      caption && element("caption", {}, caption),
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          head.map((name, index) =>
            element("th", { class: classOf(index), attributes: { scope: "col" } }, name),
          ),
        ),
      ),
      element(
        "tbody",
        {},
        rows.map((row) => element("tr", {}, cells(row))),
      ),
    ),
  );
}
