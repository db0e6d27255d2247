/** The form before a batch is sent: its team name, and how its pictures are named. */

import { element, icon, uniqueId } from "./dom.js";
import { text } from "./texts.js";

const MAX_TEAM = 64;
const TEAM = /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/; // as the service checks it

let lastTeam = null;

/**
 * What a job is made of: one archive, or files, whose `path` has their folders; and what was chosen for it.
 * @typedef {{ archive: File?, files: File[]?, team: string?, paths: boolean? }} Upload
 */

/** The form. onSend(upload): it was sent; `upload` has what was chosen, too. */
export function jobForm(upload, onSend) {
  const { archive, files } = upload;
  const hint = element("p", { class: "small", id: uniqueId("hint") }, text("jobs.form.hint"));
  const fault = element("p", { class: "field-error", id: uniqueId("fault") });
  const team = element("input", {
    type: "text",
    value: lastTeam ?? defaultTeam(upload),
    attributes: { autocomplete: "off", spellcheck: "false", "aria-describedby": `${fault.id} ${hint.id}` },
    oninput: () => fault.textContent && check(),
  });
  const check = () => {
    fault.textContent = teamFault(team.value);
    team.setAttribute("aria-invalid", Boolean(fault.textContent));
    return !fault.textContent;
  };
  const folders = element("input", { type: "checkbox", checked: Boolean(upload.paths) });
  const onsubmit = (event) => {
    event.preventDefault();
    if (!check()) return team.focus();
    lastTeam = team.value;
    onSend({ ...upload, team: lastTeam, paths: archive ? folders.checked : haveSameNames(files) });
  };
  return element(
    "form",
    { class: "job-form", noValidate: true, onsubmit },
    element("label", { class: "field" }, element("span", {}, text("jobs.form.team")), team),
    fault,
    hint,
    archive && element("label", { class: "choice" }, folders, text("jobs.form.folders")),
    element("p", {}, element("button", { class: "button primary" }, icon("upload"), text("jobs.form.start"))),
  );
}

/** A file's path with its folders, separated by `/`. */
export function pathOf(file) {
  return file.path || file.name;
}

/** The files of an upload by the names that the service gives their pictures; none of an archive. */
export function filesByName({ files, paths }) {
  return new Map(files?.map((file) => [paths ? pathOf(file) : baseName(file), file]));
}

function baseName(file) {
  return pathOf(file).split("/").pop();
}

function haveSameNames(files) {
  return new Set(files.map(baseName)).size < files.length;
}

/** What is wrong with a team's name, in words; empty if nothing is. */
function teamFault(name) {
  if (TEAM.test(name)) return "";
  if (!name) return text("jobs.form.noName");
  if (name.length > MAX_TEAM) return text("jobs.form.longName", { count: name.length, most: MAX_TEAM });
  const character = name.match(/[^A-Za-z0-9 ._-]/u)?.[0];
  return character ? text("jobs.form.otherCharacter", { character }) : text("jobs.form.firstCharacter");
}

/** A name from that of the archive or of the folder. */
function defaultTeam({ archive, files }) {
  const name = archive
    ? archive.name.replace(/(\.tar)?\.[^.]+$/i, "")
    : (/^(.*?)\//.exec(pathOf(files[0]))?.[1] ?? "");
  const valid = name.replace(/[^A-Za-z0-9 ._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  return valid.slice(0, MAX_TEAM) || "pictures";
}
