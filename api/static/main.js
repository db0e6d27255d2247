/** Starts the page: its tabs, what becomes of files, and the list of answers. */

import { announce, element, fillTexts } from "./dom.js";
import { listenForFiles } from "./drop_zone.js";
import { addExamples } from "./examples.js";
import { PictureCard } from "./picture_card.js";
import { direction, language, text } from "./texts.js";

const MAX_CARDS_AT_ONCE = 20; // more pictures at once are a job
const MAX_CARDS = 60; // older ones are removed, which frees their pictures
const MAX_REQUESTS = 4;
const SPOKEN_ALONE = 3; // up to so many cards at once are spoken each by itself
const ARCHIVE = /\.(zip|tar|tgz|tbz2?|txz|tzst|tar\.(gz|bz2|xz|zst))$/i;
const PICTURE = /\.(png|apng|jpe?g|jfif|webp|gif|bmp|dib|tiff?|avif|heic|heif)$/i;

/** What fills a tab's panel when it is shown. */
const PANELS = {
  programs: async (panel) => (await import("./programs.js")).showPrograms(panel),
  model: async (panel) => (await import("./model_panel.js")).showModel(panel),
};

const cards = []; // as they stand on the page
const queue = []; // cards that wait for their request
let asking = 0;

Object.assign(document.documentElement, { lang: language, dir: direction });
fillTexts(document);
document.title = text("page.title");
startTabs();
listenForFiles({ take, warn });
addExamples(document.getElementById("examples"), { take: takeExample, warn });
document.getElementById("remove-all").onclick = removeAll;
window.addEventListener("hashchange", followHash);
followHash();

/** Make cards of pictures, or a job of many or of an archive. */
function take(files) {
  clearMessages();
  showTab("check");
  const archives = files.filter(isArchive);
  const others = files.filter((file) => !isArchive(file));
  // What was chosen by itself is sent in any case, for the service's answer; folders hold other files too.
  const pictures = others.filter((file) => !file.path?.includes("/") || isPicture(file));
  const left = others.length - pictures.length;
  if (left) warn(text("drop.notPictures", { count: left }));
  if (!archives.length && !pictures.length) warn(text("drop.nothing"));
  const many = pictures.length > MAX_CARDS_AT_ONCE;
  const batches = archives.map((archive) => ({ archive, files: null }));
  if (many) batches.push({ archive: null, files: pictures });
  else if (pictures.length)
    addCards(pictures.map((file) => ({ file, name: file.name || text("card.pasted") })));
  if (batches.length) openJobs(({ startJob }, container) => startJob(batches[0], container));
  if (batches.length > 1) warn(text("drop.oneBatch", { name: archives[0].name }));
}

function isArchive(file) {
  return ARCHIVE.test(file.name);
}

function isPicture(file) {
  return !file.name.startsWith(".") && (file.type.startsWith("image/") || PICTURE.test(file.name));
}

function takeExample(file, truth) {
  clearMessages();
  addCards([{ file, name: file.name, truth }]);
}

function clearMessages() {
  document.getElementById("message").replaceChildren();
}

/** Say what could not be done, beside the drop zone. */
function warn(message) {
  document.getElementById("message").append(element("p", { class: "notice" }, message));
}

/** Add cards above the older ones, in the order of the files, and ask for their answers. */
function addCards(pictures) {
  const open = new Set();
  const onChange = (card) => {
    if (card.state === "removed") cards.splice(cards.indexOf(card), 1);
    else if (group.length <= SPOKEN_ALONE) announce(card.spoken);
    showSummary();
    if (open.delete(card) && !open.size && group.length > SPOKEN_ALONE) {
      announce(text("answers.spokenAll", { count: group.length, summary: summaryOf(group) }));
    }
  };
  const group = pictures.map(({ file, name, truth }) => new PictureCard(file, { name, truth, onChange }));
  group.forEach((card) => open.add(card));
  cards.unshift(...group);
  queue.push(...group);
  document.getElementById("cards").prepend(...group.map((card) => card.node));
  while (cards.length > MAX_CARDS) cards.at(-1).remove();
  showSummary();
  document.getElementById("answers").scrollIntoView({ block: "nearest" });
  askNext();
}

function askNext() {
  while (asking < MAX_REQUESTS && queue.length) {
    asking += 1;
    const card = queue.shift();
    card.ask().finally(() => {
      asking -= 1;
      askNext();
    });
  }
}

function showSummary() {
  document.getElementById("answers").hidden = cards.length === 0;
  document.getElementById("answers-summary").textContent = cards.length > 1 ? summaryOf(cards) : "";
}

/** How many cards there are of each kind, such as "3 photographs, 1 of a kind it does not know". */
function summaryOf(some) {
  const kinds = { REAL: 0, FAKE: 0, unknown: 0, failed: 0, waiting: 0 };
  for (const card of some) {
    if (card.answer) kinds[card.answer.in_domain === false ? "unknown" : card.answer.label] += 1;
    else if (card.state !== "removed") kinds[card.state === "failed" ? "failed" : "waiting"] += 1;
  }
  return Object.entries(kinds)
    .filter(([, count]) => count)
    .map(([kind, count]) => text(`answers.${kind}`, { count }))
    .join(text("answers.separator"));
}

function removeAll() {
  for (const card of [...cards]) card.remove();
  announce(text("answers.removed"));
  document.getElementById("choose-files").focus();
}

/** Load the part of the page for batches. use(module, container): shows one. */
function openJobs(use) {
  const open = async () => use(await import("./job_panel.js"), document.getElementById("jobs"));
  load(open, document.getElementById("message"));
}

/** Run `action`, and say in `place` if it fails, as when a part of the page cannot be loaded. */
async function load(action, place) {
  try {
    await action();
  } catch (error) {
    place.replaceChildren(element("p", { class: "notice" }, text("page.failed", { detail: error.message })));
  }
}

/** Show what the address names: a job (`#job=ID`), or a tab (`#programs`, `#model`). */
function followHash() {
  const [name, id] = location.hash.slice(1).split("=");
  if (name === "job" && id) {
    showTab("check");
    openJobs(({ openJob }, container) => openJob(decodeURIComponent(id), container));
  } else if (document.getElementById(`tab-${name}`)) showTab(name);
}

/** Tabs as in the ARIA Authoring Practices: the arrow keys move and choose. */
function startTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const tab of tabs) {
    tab.onclick = () => showTab(nameOf(tab));
    tab.onkeydown = (event) => {
      const forward = getComputedStyle(tab).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
      const step = { ArrowLeft: -1, ArrowRight: -1, [forward]: 1 }[event.key];
      const at = { Home: 0, End: tabs.length - 1 }[event.key] ?? (step && tabs.indexOf(tab) + step);
      if (at === undefined) return;
      event.preventDefault();
      const chosen = tabs.at(at % tabs.length);
      showTab(nameOf(chosen));
      chosen.focus();
    };
  }
}

function nameOf(tab) {
  return tab.id.replace("tab-", "");
}

function showTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const selected = nameOf(tab) === name;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
    document.getElementById(`panel-${nameOf(tab)}`).hidden = !selected;
  }
  const panel = document.getElementById(`panel-${name}`);
  if (PANELS[name]) load(() => PANELS[name](panel), panel);
}
