/** How many pictures have which P(REAL), and a threshold to move across it. */

import { element, svg, uniqueId } from "./dom.js";
import { SERVICE_THRESHOLD } from "./predictions.js";
import { formatProbability, text } from "./texts.js";

const BINS = 40;
const HEIGHT = 100; // of the drawing, in its own units; a bin is 1 wide

/** A drawing below a slider of the same width: pointing, keys and screen readers move the same threshold. */
export class Histogram {
  #bars;
  #sides;
  #drawing;
  #slider;
  #meaning;
  #reset;

  /** onThreshold(value) is called with each new threshold of P(REAL), from 0 to 1. */
  constructor({ onThreshold }) {
    const title = uniqueId("histogram");
    const meaning = uniqueId("threshold");
    this.#sides = {
      FAKE: svg("rect", { height: HEIGHT }),
      REAL: svg("rect", { height: HEIGHT, width: BINS }),
    };
    const clips = Object.entries(this.#sides).map(([side, rectangle]) => {
      return svg("clipPath", { id: `${title}-${side}` }, rectangle);
    });
    this.#bars = Object.keys(this.#sides).map((side) => {
      return svg("path", { class: `histogram-${side}`, "clip-path": `url(#${title}-${side})` });
    });
    this.#drawing = svg(
      "svg",
      {
        class: "histogram-drawing",
        role: "img",
        viewBox: `0 0 ${BINS} ${HEIGHT}`,
        preserveAspectRatio: "none",
      },
      clips,
      this.#bars,
    );
    const attributes = { min: 0, max: 1, step: 0.01, "aria-describedby": meaning };
    const label = text("jobs.histogram.threshold");
    this.#slider = element("input", {
      type: "range",
      class: "histogram-slider",
      attributes: { ...attributes, "aria-label": label },
      oninput: () => onThreshold(this.#slider.valueAsNumber),
    });
    this.#meaning = element("p", { class: "histogram-meaning", id: meaning });
    this.#reset = element(
      "button",
      {
        type: "button",
        class: "button quiet",
        onclick: () => {
          this.#slider.focus();
          onThreshold(SERVICE_THRESHOLD);
        },
      },
      text("jobs.histogram.reset", { threshold: formatProbability(SERVICE_THRESHOLD, 2) }),
    );
    this.element = element(
      "section",
      { class: "histogram", attributes: { "aria-labelledby": title } },
      element("h3", { id: title, textContent: text("jobs.histogram.title") }),
      element("div", { class: "histogram-plot", dir: "ltr" }, this.#drawing, this.#slider),
      element(
        "p",
        { class: "histogram-axis", dir: "ltr", attributes: { "aria-hidden": "true" } },
        element("span", {}, text("jobs.histogram.fakeEnd")),
        element("span", {}, text("jobs.histogram.axis")),
        element("span", {}, text("jobs.histogram.realEnd")),
      ),
      element("div", { class: "histogram-words" }, this.#meaning, this.#reset),
      element("p", { class: "small", textContent: text("jobs.histogram.scale") }),
    );
  }

  /** Draw the bars of all readable rows. */
  drawBars(rows) {
    const bins = new Array(BINS).fill(0);
    for (const { real } of rows) {
      if (real !== null) bins[Math.min(BINS - 1, Math.floor(real * BINS))] += 1;
    }
    const most = Math.max(1, ...bins);
    const bars = bins.map((count, i) => {
      const height = HEIGHT * Math.sqrt(count / most);
      return `M${i + 0.08} ${HEIGHT}v${-height}h0.84v${height}z`;
    });
    for (const side of this.#bars) side.setAttribute("d", bars.join(""));
    const tenth = BINS / 10;
    const sum = (some) => some.reduce((total, count) => total + count, 0);
    const low = sum(bins.slice(0, tenth));
    const high = sum(bins.slice(-tenth));
    const middle = sum(bins) - low - high;
    this.#drawing.setAttribute("aria-label", text("jobs.histogram.alt", { low, middle, high }));
  }

  /** Show a threshold and how many pictures are on its sides. */
  showThreshold(threshold, { fake, real }) {
    this.#sides.FAKE.setAttribute("width", threshold * BINS);
    this.#sides.REAL.setAttribute("x", threshold * BINS);
    const values = { threshold: formatProbability(threshold, 2), fake, real };
    this.#slider.value = threshold;
    this.#slider.setAttribute("aria-valuetext", text("jobs.histogram.value", values));
    this.#reset.disabled = threshold === SERVICE_THRESHOLD;
    const own = { own: formatProbability(SERVICE_THRESHOLD, 2) };
    const meaning = this.#reset.disabled ? text("jobs.histogram.own") : text("jobs.histogram.moved", own);
    this.#meaning.textContent = `${text("jobs.histogram.value", values)}. ${meaning}`;
  }
}
