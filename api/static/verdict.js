/** The network's answer for one picture in words: how sure it is, and whether it knows such pictures. */

import { element, icon } from "./dom.js";
import { formatPercent, text } from "./texts.js";

/** The least confidence of each word, from the highest. */
const WORDS = [
  [0.99, "almostCertain"],
  [0.9, "likely"],
  [0.75, "probably"],
  [0, "guess"],
];
const MOST = 0.999; // what is above is written as "over"
const ENDS = ["labels.FAKE", "verdict.undecided", "labels.REAL"]; // of the bar, and its middle

/** The answer in one sentence, for screen readers. */
export function spokenVerdict(answer) {
  if (answer.in_domain === false) {
    return text("verdict.spoken", {
      reason: text(`verdict.${answer.out_of_domain_reason}.spoken`),
      ...valuesOf(answer),
    });
  }
  return text("verdict.answer", { ...valuesOf(answer), words: wordsOf(answer.confidence) });
}

/**
 * The nodes of the answer. A picture out of the domain gets the notice first, and its label quietly.
 *
 * size: of the pictures that the network knows, in pixels.
 */
export function verdict(answer, size) {
  if (answer.in_domain === false) {
    return [
      notice(answer, size),
      element("p", { class: "quiet-label" }, text("verdict.quiet", valuesOf(answer))),
    ];
  }
  const { label, confidence } = answer;
  return [
    element(
      "p",
      { class: `label ${label}` },
      icon(label === "REAL" ? "photo" : "spark"),
      element("strong", {}, text(`labels.${label}`)),
      element("span", { class: "code" }, label),
    ),
    scale(answer),
    element(
      "p",
      { class: "sure" },
      element("strong", {}, text("verdict.percent", { percent: percentOf(confidence) })),
      `: ${wordsOf(confidence)}`,
    ),
    element(
      "p",
      { class: "small" },
      answer.in_domain === null ? text("verdict.noDetector") : meaningOf(confidence),
    ),
  ];
}

function valuesOf({ label, confidence }) {
  return { label: text(`labels.${label}`), code: label, percent: percentOf(confidence) };
}

function notice({ out_of_domain_reason: reason, width, height }, size) {
  const values = { size, width: String(width), height: String(height) };
  return element(
    "div",
    { class: "notice" },
    icon("warning"),
    element(
      "div",
      {},
      element("p", {}, element("strong", {}, text(`verdict.${reason}.title`))),
      element("p", {}, text(`verdict.${reason}.text`, values)),
    ),
  );
}

/** A bar from "generated" over undecided to "photograph", filled as far as the answer is sure. */
function scale({ label, confidence }) {
  const share = Math.max(0, 2 * confidence - 1);
  const fill = element("span", { class: `fill ${label}` });
  fill.style.inlineSize = `${50 * share}%`;
  return element(
    "div",
    { class: "scale", attributes: { "aria-hidden": "true" } },
    element("div", { class: "track" }, fill),
    element(
      "div",
      { class: "ends" },
      ENDS.map((key) => element("span", {}, text(key))),
    ),
  );
}

/** Rounded down, so that no answer reads surer than it is. */
function percentOf(confidence) {
  if (confidence > MOST) return text("verdict.over", { percent: formatPercent(MOST, 1) });
  const digits = confidence < 0.99 ? 0 : 1;
  const step = 10 ** (2 + digits);
  return formatPercent(Math.floor(confidence * step) / step, digits);
}

function wordsOf(confidence) {
  const [, name] = WORDS.find(([least]) => confidence >= least);
  return text(`verdict.${name}`);
}

function meaningOf(confidence) {
  const count = confidence < 0.99 ? 100 : 1000;
  return text("verdict.meaning", { count, right: Math.floor(Math.min(confidence, MOST) * count) });
}
