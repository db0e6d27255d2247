/** What a card shows of the service's answer: verdict, an example's truth, provenance, and heat map. */

import { announce, element } from "./dom.js";
import { problemWords, waitWords } from "./problems.js";
import { provenanceSection } from "./provenance.js";
import { predict } from "./service.js";
import { text } from "./texts.js";
import { verdict } from "./verdict.js";

export { spokenVerdict } from "./verdict.js";

/**
 * The nodes of an answer. size: width and height of what the network saw, in pixels. file, truth: of the
 * card. figures: the element with its pictures; the heat map is laid over the last one, which is what the network
 * saw, so that the other one can be compared. signal: ends with the card.
 */
export function answerNodes(answer, { size, file, truth, figures, signal }) {
  return [
    ...verdict(answer, size),
    ...(truth ? [element("p", { class: "truth" }, truthWords(truth, answer.label))] : []),
    provenanceSection(answer.provenance),
    heatPart(answer.label, { file, figures, signal }),
  ];
}

function truthWords(truth, label) {
  const words = [text(`examples.truth.${truth}`)];
  if (truth !== "drawn") words.push(text(truth === label ? "examples.right" : "examples.wrong"));
  return words.join(" ");
}

/** A button that asks for the heat map and shows it, or hides it. */
function heatPart(label, { file, figures, signal }) {
  const place = element("div");
  const button = element("button", { type: "button", class: "button" });
  let shown = null; // what removes the heat map
  const show = (key) => {
    button.textContent = text(key);
    button.setAttribute("aria-expanded", String(shown !== null));
  };
  const ask = async () => {
    show("heat.asking");
    const onWait = (wait) => (place.textContent = wait ? waitWords(wait) : "");
    const { explanation } = await predict(file, { explain: "gradcam", signal, onWait });
    const { showHeatMap } = await import("./heat_map.js");
    const view = [...figures.querySelectorAll(".frame")].at(-1);
    const { legend, remove } = await showHeatMap(explanation.heatmap, view, label);
    shown = remove;
    place.replaceChildren(legend);
    announce(text("heat.done"));
  };
  const hide = () => {
    shown();
    shown = null;
    place.replaceChildren();
  };
  button.onclick = async () => {
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true"); // unlike `disabled`, this keeps the focus
    try {
      await (shown ? hide() : ask());
    } catch (error) {
      if (signal.aborted) return;
      const { title, advice } = problemWords(error);
      place.textContent = `${title}. ${advice}`;
      announce(place.textContent);
    }
    button.removeAttribute("aria-disabled");
    show(shown ? "heat.hide" : "heat.show");
  };
  show("heat.show");
  return element("div", { class: "heat-part" }, button, place);
}
