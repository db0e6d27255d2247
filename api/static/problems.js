/** Words that a person understands for the errors of the service. */

import { hasText, text } from "./texts.js";

/** Of status codes that a proxy in front of the service may answer, without a problem of its own. */
const STATUS_SLUGS = {
  401: "unauthorized",
  403: "forbidden",
  404: "not-found",
  408: "stalled",
  413: "too-large",
  415: "unsupported-format",
  429: "busy",
  500: "internal-error",
  502: "not-ready",
  503: "not-ready",
  504: "late",
  507: "insufficient-storage",
};

/**
 * What to tell of an error: `title`, `advice`, and `detail`, the small print, which may be empty.
 *
 * error: a ServiceError, or any other Error.
 */
export function problemWords(error) {
  const known = (slug) => slug && hasText(`problems.${slug}.0`);
  const slug = [error.slug, STATUS_SLUGS[error.status]].find(known) ?? "other";
  const details = [error.detail ?? error.message];
  if (slug === "internal-error" && error.members?.request_id) {
    details.push(text("problems.request", { id: error.members.request_id }));
  }
  return {
    title: text(`problems.${slug}.0`),
    advice: text(`problems.${slug}.1`),
    detail: details.filter(Boolean).join(" · "),
  };
}

/** What to tell while a call waits, as `onWait` of service.js is told. */
export function waitWords({ reason, seconds }) {
  return text(`wait.${reason}`, { count: Math.ceil(seconds) });
}
