/** The rows of a job's result, without a view: their labels, counts, filters and orders. */

export const SERVICE_THRESHOLD = 0.5; // of P(REAL), from which the service's label is REAL
export const UNCERTAIN_BELOW = 0.9; // a confidence
export const FILTERS = ["all", "fake", "real", "uncertain", "outside", "unreadable"];

/**
 * One file: `real` is P(REAL), `outside` null, "size" or "content". Of an unreadable file `error` says why, and
 * `real` is null.
 * @typedef {{ name: string, real: number | null, outside: string | null, error: string | null }} Row
 */

/** REAL or FAKE at a threshold; null for an unreadable file. */
export function label(row, threshold) {
  if (row.real === null) return null;
  return row.real >= threshold ? "REAL" : "FAKE";
}

/** The probability of the label at a threshold; below 0.5 for rows between this one and the service's. */
export function confidence(row, threshold) {
  return row.real >= threshold ? row.real : 1 - row.real;
}

const BELONGS = {
  all: () => true,
  fake: (row, threshold) => row.real !== null && row.real < threshold,
  real: (row, threshold) => row.real !== null && row.real >= threshold,
  uncertain: (row, threshold) => row.real !== null && confidence(row, threshold) < UNCERTAIN_BELOW,
  outside: (row) => row.outside !== null,
  unreadable: (row) => row.error !== null,
};

const VALUES = {
  label: (row, threshold) => (row.real >= threshold ? 1 : 0),
  confidence,
  real: (row) => row.real,
  outside: (row) => ["content", "size"].indexOf(row.outside),
};

/**
 * The rows of `/batch/ID/result?detail=1`, in natural order of names, as the service sorts them.
 *
 * A result that an earlier version of the service stored does not say which pictures are out of the domain.
 */
export function readRows({ predictions, unreadable, out_of_domain: outOfDomain, summary }) {
  const toReal =
    summary.positive === "REAL" ? (share) => share : (share) => Math.round((1 - share) * 1e6) / 1e6;
  const reasons = new Map((outOfDomain ?? []).map(({ image_id: name, reason }) => [name, reason]));
  const rows = predictions.map(({ image_id: name, prediction }) => ({
    name,
    real: toReal(prediction),
    outside: reasons.get(name) ?? null,
    error: null,
  }));
  if (!unreadable.length) return rows;
  rows.push(...unreadable.map(({ image_id: name, error }) => ({ name, real: null, outside: null, error })));
  const keys = new Map(rows.map((row) => [row, naturalKey(row.name)]));
  return rows.sort((a, b) => compare(keys.get(a), keys.get(b)));
}

/** How many rows belong to each filter. */
export function countRows(rows, threshold) {
  const counts = Object.fromEntries(FILTERS.map((name) => [name, 0]));
  for (const row of rows) {
    for (const name of FILTERS) counts[name] += BELONGS[name](row, threshold);
  }
  return counts;
}

/**
 * The rows of a filter whose names contain `search`, whatever its case, in an order; unreadable ones are last.
 * @param {Row[]} rows in natural order of names, in which rows of the same value stay
 * @param {{ filter: string, search: string, column: string, descending: boolean, threshold: number }} view
 */
export function selectRows(rows, { filter, search, column, descending, threshold }) {
  const sought = search.trim().toLowerCase();
  const chosen = rows.filter(
    (row) => BELONGS[filter](row, threshold) && (!sought || row.name.toLowerCase().includes(sought)),
  );
  if (column === "name") return descending ? chosen.reverse() : chosen;
  const sign = descending ? -1 : 1;
  const value = (row) => (row.real === null ? Number.MAX_VALUE : sign * VALUES[column](row, threshold));
  return chosen
    .map((row) => ({ row, key: value(row) }))
    .sort((a, b) => a.key - b.key)
    .map(({ row }) => row);
}

/** 2.png comes before 10.png: numbers before text, of two numbers the one with more digits later. */
function naturalKey(name) {
  return name.replace(/[0-9]+/g, (number) => {
    const digits = number.replace(/^0+/, "");
    return "\0" + String.fromCharCode(digits.length) + digits;
  });
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
