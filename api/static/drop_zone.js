/** Takes files that are dropped anywhere on the page, pasted, chosen or photographed. */

import { announce } from "./dom.js";
import { text } from "./texts.js";

const MAX_FILES = 120_000; // as many as a job takes by default
const MAX_DEPTH = 32; // of folders

/**
 * Listen for files. take(files): called with an array of File for each drop, paste or choice; those of
 * folders have `path`, their path with folders. warn(message): something that could not be taken.
 */
export function listenForFiles({ take, warn }) {
  if (matchMedia("(hover: none)").matches) {
    document.getElementById("drop-title").textContent = text("drop.titleTouch");
    document.getElementById("drop-how").textContent = text("drop.howTouch");
  }
  listenForDrops({ take, warn });
  listenForPastes(take);
  for (const [button, input] of [
    ["choose-files", "file-input"],
    ["take-photo", "camera-input"],
    ["choose-folder", "folder-input"],
  ]) {
    connect(document.getElementById(button), document.getElementById(input), take);
  }
  document.getElementById("drop-zone").onclick = (event) => {
    if (!event.target.closest("button, input")) document.getElementById("file-input").click();
  };
}

function connect(button, input, take) {
  button.onclick = () => input.click();
  input.onchange = () => {
    const files = [...input.files];
    for (const file of files) file.path = file.webkitRelativePath || file.name;
    input.value = ""; // so that the same file can be chosen again
    if (files.length) take(files);
  };
}

function listenForDrops({ take, warn }) {
  const zone = document.getElementById("drop-zone");
  const title = document.getElementById("drop-title");
  const usual = title.textContent;
  const show = (over) => {
    zone.classList.toggle("over", over);
    title.textContent = over ? text("drop.over") : usual;
  };
  const isText = (event) => !event.dataTransfer.types.includes("Files") && event.target.closest?.("input");
  document.addEventListener("dragover", (event) => {
    if (isText(event)) return;
    event.preventDefault();
    show(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) show(false); // it has left the window
  });
  document.addEventListener("drop", async (event) => {
    if (isText(event)) return;
    event.preventDefault();
    show(false);
    // Entries must be asked for before the event ends.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = entries.length ? await filesOf(entries, warn) : [...event.dataTransfer.files];
    if (files.length) take(files);
    else warn(text(entries.length ? "drop.nothing" : "drop.noFile"));
  });
}

function listenForPastes(take) {
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    announce(text("card.pasted"));
    take(files);
  });
}

/** The files of dropped entries and of the folders among them, at most MAX_FILES, in order of their names. */
async function filesOf(entries, warn) {
  const files = [];
  const walk = async (entry, depth) => {
    if (files.length >= MAX_FILES) return;
    if (entry.isFile) {
      const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
      if (file) files.push(Object.assign(file, { path: entry.fullPath.slice(1) }));
    } else if (depth < MAX_DEPTH) {
      for (const child of await childrenOf(entry)) await walk(child, depth + 1);
    }
  };
  for (const entry of entries) await walk(entry, 0);
  if (files.length >= MAX_FILES) warn(text("drop.tooMany", { count: MAX_FILES }));
  return files;
}

/** The entries of a folder, which browsers give some at a time. */
async function childrenOf(folder) {
  const reader = folder.createReader();
  const children = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    children.push(...some);
    if (!some.length || children.length > MAX_FILES) break;
  }
  return children.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
}
