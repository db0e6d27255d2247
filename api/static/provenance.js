/** What a picture's file says of its origin, as the service read it. */

import { element } from "./dom.js";
import { formatNumber, hasText, text } from "./texts.js";

/** The section of a card. found: `provenance` of an answer of `POST /predict?provenance=1`. */
export function provenanceSection(found) {
  const rows = rowsOf(found);
  return element(
    "section",
    { class: "provenance" },
    element("h4", {}, text("provenance.title")),
    rows.length
      ? element(
          "dl",
          { class: "facts" },
          rows.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
        )
      : element("p", { class: "small" }, text("provenance.nothing")),
    rows.length > 0 && element("p", { class: "small" }, text("provenance.evidence")),
    !found.complete && element("p", { class: "small" }, text("provenance.incomplete")),
  );
}

function rowsOf({ generator, camera, digital_source_type: source, c2pa, evidence }) {
  const rows = [
    [text("provenance.generator"), generator],
    [text("provenance.source"), source && sourceWords(source)],
    [text("provenance.camera"), camera && cameraWords(camera)],
    [text("provenance.credentials"), c2pa && credentialsWords(c2pa)],
  ].filter(([, value]) => value);
  if (rows.length) rows.push([text("provenance.found"), evidence.join(", ")]);
  return rows;
}

function sourceWords(source) {
  const key = `provenance.sources.${source}`;
  return hasText(key) ? text(key) : source;
}

function cameraWords({ make, model, exposure }) {
  const name = model && make && !model.startsWith(make) ? `${make} ${model}` : model || make;
  const { time, f_number: aperture, iso, focal_length: focal } = exposure ?? {};
  return [
    name,
    time &&
      text("provenance.seconds", {
        time: time < 0.5 ? `1/${formatNumber(1 / time)}` : formatNumber(time, 1),
      }),
    aperture && text("provenance.aperture", { number: formatNumber(aperture, 1) }),
    iso && text("provenance.iso", { number: String(Math.round(iso)) }),
    focal && text("provenance.focal", { number: formatNumber(focal, 1) }),
  ]
    .filter(Boolean)
    .join(", ");
}

function credentialsWords({
  validated,
  validation_state: state,
  signed_by: signer,
  claim_generator: program,
  reason,
}) {
  if (!validated)
    return text(state ? "provenance.invalid" : "provenance.unread", { reason: reason ?? state ?? "" });
  const words = [signer ? text("provenance.valid", { signer }) : text("provenance.validUnnamed")];
  if (program) words.push(text("provenance.program", { program }));
  return `${words.join(", ")}. ${text("provenance.unknownSigner")}`;
}
