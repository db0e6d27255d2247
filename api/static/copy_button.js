/** A button that copies a text, and says so. */

import { announce, element, icon } from "./dom.js";
import { text } from "./texts.js";

const DONE_MS = 2000; // how long the button says that it is done

/** The button. source(): the text to copy. name: of that text, for screen readers. */
export function copyButton(source, name) {
  const show = (iconName, words) => button.replaceChildren(icon(iconName), words);
  const button = element("button", {
    type: "button",
    class: "button quiet",
    attributes: { "aria-label": text("copy.named", { name }) },
    onclick: async () => {
      const copied = await copy(source());
      announce(copied ? text("copy.spoken", { name }) : text("copy.failed"));
      show(copied ? "check" : "warning", copied ? text("copy.done") : text("copy.failed"));
      if (copied) setTimeout(() => show("copy", text("copy.button")), DONE_MS);
    },
  });
  show("copy", text("copy.button"));
  return button;
}

/** Whether it was copied. Pages without HTTPS have no clipboard, but may copy what is selected. */
async function copy(words) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    const area = element("textarea", { class: "visually-hidden", value: words, readOnly: true });
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return copied;
  }
}
