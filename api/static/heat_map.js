/** The heat map of an answer: a coloured overlay for a picture, with a legend and a slider. */

import { element, uniqueId } from "./dom.js";
import { text } from "./texts.js";

/** Stops of matplotlib's perceptually even colour map "inferno" (CC0), from the lowest to the highest. */
const INFERNO = "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4"
  .split(" ")
  .map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
const STRENGTH = 0.5; // at first

/**
 * Lay the heat map over a picture. Returns `legend`, a node (which says so if the map is zero everywhere), and
 * `remove()`, which takes the heat map off the picture.
 *
 * heatmap: a grey PNG as a data URL. frame: the element around the picture. label: of the answer that it
 * explains.
 */
export async function showHeatMap(heatmap, frame, label) {
  const { colours, highest } = await coloured(heatmap);
  if (highest === 0) return { legend: element("p", { class: "small" }, text("heat.flat")), remove: () => {} };
  const overlay = drawn(colours);
  const strengthen = (strength) => (overlay.style.opacity = strength);
  strengthen(STRENGTH);
  frame.append(overlay);
  return { legend: legend(label, strengthen), remove: () => overlay.remove() };
}

function legend(label, strengthen) {
  const id = uniqueId("strength");
  const slider = element("input", {
    id,
    type: "range",
    min: 0,
    max: 100,
    value: 100 * STRENGTH,
    oninput: () => strengthen(slider.value / 100),
  });
  return element(
    "div",
    { class: "heat-legend" },
    element("p", {}, element("strong", {}, text("heat.legend", { label: text(`labels.${label}`) }))),
    element(
      "div",
      { class: "ramp" },
      element("span", {}, text("heat.low")),
      ramp(),
      element("span", {}, text("heat.high")),
    ),
    element("div", { class: "strength" }, element("label", { htmlFor: id }, text("heat.strength")), slider),
    element("p", { class: "small" }, text("heat.meaning")),
  );
}

/** The pixels of the map in colours, and its highest value, 0 to 255. */
async function coloured(heatmap) {
  const image = new Image();
  image.src = heatmap;
  await image.decode();
  const canvas = element("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const colours = context.getImageData(0, 0, canvas.width, canvas.height);
  let highest = 0;
  for (let at = 0; at < colours.data.length; at += 4) {
    highest = Math.max(highest, colours.data[at]);
    colours.data.set(colourOf(colours.data[at] / 255), at);
  }
  return { colours, highest };
}

function drawn(colours) {
  const canvas = element("canvas", {
    class: "heat",
    width: colours.width,
    height: colours.height,
    attributes: { "aria-hidden": "true" },
  });
  canvas.getContext("2d").putImageData(colours, 0, 0);
  return canvas;
}

function ramp() {
  const colours = new ImageData(256, 1);
  for (let x = 0; x < 256; x++) colours.data.set([...colourOf(x / 255), 255], 4 * x);
  return drawn(colours);
}

/** Red, green and blue, 0 to 255, of a value from 0 to 1. */
function colourOf(value) {
  const at = value * (INFERNO.length - 1);
  const [low, high] = [INFERNO[Math.floor(at)], INFERNO[Math.ceil(at)]];
  return low.map((channel, index) => channel + (high[index] - channel) * (at % 1));
}
