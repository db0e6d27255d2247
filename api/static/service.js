/** The HTTP calls of the service, with what every caller needs: retries, waiting, keys, errors as exceptions. */

const PATIENCE_MS = 60_000; // how long one call waits, in all, for a busy, limited or absent server
const ATTEMPT_MS = 150_000; // after which a call without an answer counts as lost
const STALL_MS = 120_000; // the same of an upload, since its last progress
const PROBE_MS = 1000; // between two looks whether a server is back
const PROBE_LIMIT_MS = 5000; // of one look
const MAX_LOST = 3; // connections that one call may lose although the server is ready
const UNAVAILABLE = [502, 503]; // the first by a proxy whose server is away
const KEY = "cifake-key"; // in sessionStorage

/** An error answer of the service (RFC 9457), or a call that was lost or not made (status 0, no detail). */
export class ServiceError extends Error {
  /** slug: the last part of the problem's `type`. members: of its JSON. Both are empty for a proxy's. */
  constructor(status, slug, detail, members = {}) {
    super(detail);
    this.name = "ServiceError";
    Object.assign(this, { status, slug, detail, members });
  }

  static async fromResponse(response) {
    let members = {};
    try {
      members = await response.json();
    } catch {
      // a proxy's page
    }
    const slug = String(members.type ?? "").replace(/.*:/, "");
    return new ServiceError(response.status, slug, members.detail ?? response.statusText, members);
  }
}

class LostError extends Error {}

/**
 * Call the service. Returns the Response of a successful call; `path` is relative to the page.
 *
 * Waits and asks again while the server is busy (429), not ready (502, 503, as `Retry-After` says) or gone,
 * `patience` milliseconds in all. Meanwhile `onWait({ reason, seconds })` is called with the reason "busy",
 * "limited" (the client has asked too often) or "gone", and `onWait(null)` when it goes on. Where the server
 * wants a key (401) the person is asked for one. onProgress(sent, total): bytes of an upload.
 * Throws ServiceError, or the AbortError of `signal`.
 */
export async function request(path, options = {}) {
  const { signal, onWait = () => {}, patience = PATIENCE_MS } = options;
  const until = performance.now() + patience;
  let lost = 0;
  for (;;) {
    const wait = { reason: "gone", seconds: PROBE_MS / 1000 };
    const sentKey = key;
    let error;
    try {
      const response = await send(path, options);
      if (response.ok) return response;
      error = await ServiceError.fromResponse(response);
      if (response.status === 401) {
        if (key === sentKey) await askForKey(error, signal);
        continue;
      }
      if (response.status !== 429 && !UNAVAILABLE.includes(response.status)) throw error;
      if (response.status === 429) wait.reason = error.slug === "rate-limited" ? "limited" : "busy";
      wait.seconds = retryAfter(response);
    } catch (reason) {
      if (!(reason instanceof LostError)) throw reason;
      error = await lostCall(options.body);
      lost += 1;
      if (lost === MAX_LOST || error.slug !== "connection-lost") throw error;
    }
    do {
      if (performance.now() + wait.seconds * 1000 > until) throw error;
      onWait(wait);
      await sleep(wait.seconds * 1000, signal);
    } while (error.status === 0 && !(await isReady(signal)));
    onWait(null);
  }
}

/**
 * Classify one picture. Returns the answer of `POST /predict`.
 *
 * explain: "gradcam" for a heat map. provenance: what the file says of its origin. input: the pixels that the
 * network received.
 */
export async function predict(blob, { explain, provenance, input, signal, onWait } = {}) {
  if (!blob.size) throw new ServiceError(0, "empty", "");
  const query = new URLSearchParams();
  if (explain) query.set("explain", explain);
  if (provenance) query.set("provenance", "1");
  if (input) query.set("input", "1");
  const name = blob.name || "picture";
  const body = new FormData();
  body.append("file", blob, name);
  const response = await request(withQuery("predict", query), { method: "POST", body, signal, onWait });
  const answer = await response.json();
  remember({ kind: "picture", name, query, answer });
  return answer;
}

/** What is being served: the answer of `GET /model`. */
export async function getModel({ signal, onWait } = {}) {
  return (await request("model", { signal, onWait })).json();
}

/**
 * Send a batch as a job. Returns the job.
 *
 * formData: with the pictures in the field `files`, repeated, or one `archive`. options: other parameters of
 * `POST /batch`, such as `{ names: "path" }`. The Idempotency-Key is the same for all tries of this upload, so
 * that a lost answer makes no second job. Waits without limit, as the calls for jobs below do.
 */
export async function submitJob(formData, { team, options = {}, signal, onProgress, onWait } = {}) {
  const query = new URLSearchParams({ team, ...options });
  const headers = { Prefer: "respond-async", "Idempotency-Key": `"${randomId()}"` };
  const call = { method: "POST", body: formData, headers, signal, onProgress, onWait, patience: Infinity };
  const job = await (await request(withQuery("batch", query), call)).json();
  const archive = formData.get("archive")?.name;
  remember({
    kind: "batch",
    query,
    archive,
    names: formData.getAll("files").map((file) => file.name),
    answer: job,
  });
  return job;
}

/** How far a job is. */
export async function getJob(id, { signal, onWait } = {}) {
  return (await request(jobPath(id), { signal, onWait, patience: Infinity })).json();
}

/** The Response with a job's result. query: parameters such as `{ detail: "1" }` or `{ format: "csv" }`. */
export async function getResult(id, { query = {}, signal, onWait } = {}) {
  return request(withQuery(`${jobPath(id)}/result`, new URLSearchParams(query)), {
    signal,
    onWait,
    patience: Infinity,
  });
}

/** Cancel a job that has not ended; then the job is returned. Remove one that has; then null. */
export async function cancelJob(id, { signal, onWait } = {}) {
  const response = await request(jobPath(id), { method: "DELETE", signal, onWait, patience: Infinity });
  return response.status === 204 ? null : response.json();
}

/** The last successful call for a picture or a batch, or null; `service-call` is an event of the document. */
export let lastCall = null;

/** Whether calls are made with a key. */
export function hasKey() {
  return key !== null;
}

function remember(call) {
  lastCall = call;
  document.dispatchEvent(new Event("service-call"));
}

function jobPath(id) {
  return `batch/${encodeURIComponent(id)}`;
}

function withQuery(path, query) {
  return query.size ? `${path}?${query}` : path;
}

/** A random UUID, also on pages without HTTPS, where `crypto.randomUUID` is missing. */
function randomId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** One attempt. Throws LostError without an answer. */
async function send(path, { method = "GET", body, headers = {}, signal, onProgress }) {
  const sent = key === null ? headers : { ...headers, Authorization: `Bearer ${key}` };
  if (onProgress) return upload(path, { method, body, headers: sent, signal, onProgress });
  try {
    return await fetch(path, { method, body, headers: sent, signal: withLimit(signal, ATTEMPT_MS) });
  } catch (error) {
    signal?.throwIfAborted();
    throw new LostError(error.message);
  }
}

function withLimit(signal, milliseconds) {
  const limit = AbortSignal.timeout(milliseconds);
  return signal ? AbortSignal.any([signal, limit]) : limit;
}

/** The same with progress, which `fetch` does not tell. */
function upload(path, { method, body, headers, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const call = new XMLHttpRequest();
    let stalled;
    const watch = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => call.abort(), STALL_MS);
    };
    const abort = () => call.abort();
    call.open(method, path);
    call.responseType = "blob";
    for (const [name, value] of Object.entries(headers)) call.setRequestHeader(name, value);
    call.upload.onprogress = (event) => {
      watch();
      onProgress(event.loaded, event.total);
    };
    call.onload = () => resolve(responseOf(call));
    call.onerror = () => reject(new LostError("the connection was lost"));
    call.onabort = () => reject(signal?.aborted ? signal.reason : new LostError("the upload stalled"));
    call.onloadend = () => {
      clearTimeout(stalled);
      signal?.removeEventListener("abort", abort);
    };
    signal?.addEventListener("abort", abort);
    watch();
    call.send(body);
  });
}

function responseOf(call) {
  const headers = new Headers();
  for (const line of call
    .getAllResponseHeaders()
    .trim()
    .split(/[\r\n]+/)) {
    const [name, ...value] = line.split(": ");
    if (name) headers.append(name, value.join(": "));
  }
  const body = call.status === 204 ? null : call.response;
  return new Response(body, { status: call.status, statusText: call.statusText, headers });
}

/** The error of a call without an answer: of its file, if that cannot be read any more. */
async function lostCall(body) {
  for (const value of body instanceof FormData ? body.values() : []) {
    try {
      if (value instanceof Blob) await value.slice(0, 1).arrayBuffer();
    } catch {
      return new ServiceError(0, "unreadable", "");
    }
  }
  return new ServiceError(0, "connection-lost", "");
}

async function isReady(signal) {
  try {
    return (await fetch("readyz", { signal: withLimit(signal, PROBE_LIMIT_MS), cache: "no-store" })).ok;
  } catch {
    signal?.throwIfAborted();
    return false;
  }
}

/** Seconds that the answer asks to wait, at least one; its header has seconds or a date (RFC 9110). */
function retryAfter(response) {
  const header = response.headers.get("Retry-After") ?? "";
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Math.max(1, Math.ceil(seconds) || 1);
}

/** Resolves after a time, or rejects with the reason of `signal`. */
export function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
  });
}

let key = storedKey();
let asking = null; // the dialog's promise while it is open; calls that run meanwhile share it

function storedKey() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // the browser lets pages store nothing
  }
}

/** Ask the person for a key. Throws `error` if there is none. */
async function askForKey(error, signal) {
  asking ??= import("./key_dialog.js")
    .then(({ openKeyDialog }) => openKeyDialog({ refused: key !== null }))
    .finally(() => (asking = null));
  const given = await asking;
  signal?.throwIfAborted();
  if (!given) throw error;
  key = given;
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // it is kept until the page is left
  }
}
