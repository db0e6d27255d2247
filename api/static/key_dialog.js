/** Asks for the key that the service wants. */

import { element, loadStyle, uniqueId } from "./dom.js";
import { text } from "./texts.js";

/** Open the dialog. Returns the key, or null if there is none. refused: whether one was not accepted. */
export async function openKeyDialog({ refused }) {
  await loadStyle("panels.css");
  const [title, id, help] = [uniqueId("key-title"), uniqueId("key"), uniqueId("key-help")];
  const input = element("input", {
    id,
    type: "password",
    autocomplete: "off",
    required: true,
    pattern: "\\s*[!-~]+\\s*", // what a header can have
    attributes: { spellcheck: "false", "aria-describedby": help, "aria-invalid": refused ? "true" : null },
  });
  const form = element(
    "form",
    { method: "dialog" },
    element("h2", { id: title }, text("key.title")),
    element("p", { id: help }, text(refused ? "key.refused" : "key.text")),
    element("label", { htmlFor: id }, text("key.label")),
    input,
    element(
      "div",
      { class: "dialog-buttons" },
      element(
        "button",
        { type: "button", class: "button", onclick: () => dialog.close() },
        text("key.cancel"),
      ),
      element("button", { class: "button primary" }, text("key.send")),
    ),
  );
  const dialog = element("dialog", { class: "key-dialog", attributes: { "aria-labelledby": title } }, form);
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault(); // the page's policy lets no form be sent
      dialog.close(input.value.trim());
    };
    dialog.onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    };
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
