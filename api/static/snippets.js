/** Calls of the service as code for curl, Python and JavaScript. */

import { text } from "./texts.js";

const MAX_LISTED = 4; // files of a batch; more are packed in an archive first
const PACKED = "pictures.zip";

/**
 * The call `POST /predict` in the languages `curl`, `python` and `javascript`.
 *
 * call: as `lastCall` of service.js. base: the service's address, with a slash at its end. withKey: whether
 * the call needs one, which curl and Python read from the environment.
 */
export function pictureCode({ name, query }, { base, withKey }) {
  const address = addressOf(base, "predict", query);
  return {
    curl: `curl${curlKey(withKey)} ${curlFile("file", name)} ${shell(address)}`,

    python: `${withKey ? "import os\n\n" : ""}import requests

with open(${quoted(name)}, "rb") as file:
    response = requests.post(
        ${quoted(address)},
        files={"file": file},${withKey ? `\n        headers=${PYTHON_HEADERS},` : ""}
        timeout=60,
    )
answer = response.json()
print(answer["label"] if response.ok else answer["detail"])`,

    javascript: `const form = new FormData();
form.append("file", input.files[0]); // ${text("programs.input")}
const response = await fetch(${quoted(address)}, {
  method: "POST",
  body: form,${withKey ? `\n  headers: ${SCRIPT_HEADERS},` : ""}
});
const answer = await response.json();
console.log(response.ok ? answer.label : answer.detail);`,
  };
}

/** The call `POST /batch` as a job, and those for its result; otherwise the same. */
export function batchCode({ archive, names, query, answer }, { base, withKey }) {
  const address = addressOf(base, "batch", query);
  const job = `${base}batch/${answer.id}`;
  const packs = !archive && names.length > MAX_LISTED;
  const packed = archive ?? (packs ? PACKED : null);
  const files = packed ? [["archive", packed]] : names.map((name) => ["files", name]);
  const curl = `curl${curlKey(withKey)}`;
  const curlFiles = files.map((file) => curlFile(...file)).join(" ");
  return {
    curl: `${packs ? `zip -q ${PACKED} * # ${text("programs.zip")}\n` : ""}\
${curl} -H 'Prefer: respond-async' ${curlFiles} ${shell(address)}
${curl} ${shell(job)} # ${text("programs.until")}
${curl} ${shell(`${job}/result`)}`,

    python: `${withKey ? "import os\n" : ""}import time

import requests

base = ${quoted(base)}
session = requests.Session()${withKey ? `\nsession.headers.update(${PYTHON_HEADERS})` : ""}
files = [
${files.map(([field, name]) => `    ("${field}", open(${quoted(name)}, "rb")),`).join("\n")}
]
response = session.post(
    ${quoted(address)},
    files=files,
    headers={"Prefer": "respond-async"},
    timeout=300,
)
response.raise_for_status()
job = response.json()
while job["state"] in ("queued", "running"):
    time.sleep(1)
    job = session.get(f"{base}batch/{job['id']}", timeout=60).json()
print(session.get(f"{base}batch/{job['id']}/result", timeout=60).json())`,

    javascript: `const form = new FormData();
for (const file of input.files) form.append("${archive ? "archive" : "files"}", file); // ${text("programs.input")}
const base = ${quoted(base)};
const headers = ${withKey ? SCRIPT_HEADERS : "{}"};
let response = await fetch(${quoted(address)}, {
  method: "POST",
  body: form,
  headers: { ...headers, Prefer: "respond-async" },
});
if (!response.ok) throw new Error((await response.json()).detail);
let job = await response.json();
while (["queued", "running"].includes(job.state)) {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  job = await (await fetch(\`\${base}batch/\${job.id}\`, { headers })).json();
}
response = await fetch(\`\${base}batch/\${job.id}/result\`, { headers });
console.log(await response.json());`,
  };
}

const PYTHON_HEADERS = `{"Authorization": f"Bearer {os.environ['CIFAKE_KEY']}"}`;
const SCRIPT_HEADERS = "{ Authorization: `Bearer ${key}` }";

function addressOf(base, path, query) {
  return `${base}${path}${query.size ? `?${query}` : ""}`;
}

/** A string of Python and JavaScript: JSON's escapes are theirs too. */
function quoted(value) {
  return JSON.stringify(value);
}

/** A word of a POSIX shell. */
function shell(value) {
  return `'${value.replaceAll("'", "'\\''")}'`;
}

/** curl's `-F field=@file`, where a name with `;`, `,` or quotes has to stand in quotes. */
function curlFile(field, name) {
  const plain = /^[^;,"\\]*$/.test(name);
  return `-F ${shell(`${field}=@${plain ? name : `"${name.replaceAll(/["\\]/g, "\\$&")}"`}`)}`;
}

function curlKey(withKey) {
  return withKey ? ' -H "Authorization: Bearer $CIFAKE_KEY"' : "";
}
