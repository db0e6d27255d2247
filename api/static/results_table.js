/** A table of any number of rows, of which only those in view are elements, which are used again and again. */

import { element, uniqueId } from "./dom.js";
import { confidence, label } from "./predictions.js";
import { formatPercent, formatProbability, text, texts } from "./texts.js";

const COLUMNS = ["name", "label", "confidence", "real", "outside"];
const LABELS = texts.jobs.label;
const OUTSIDE = texts.jobs.outside;
const SPARE_ROWS = 6; // above and below those in view, for scrolling
const REST_MS = 120; // without scrolling, after which thumbnails are loaded

/** A grid (WAI-ARIA) with one tab stop; the arrow keys move among its cells. */
export class ResultsTable {
  #headers;
  #body;
  #empty;
  #rows = [];
  #most = 0;
  #threshold;
  #slots = []; // row i is in the slot i modulo their number
  #rowHeight = 1;
  #marked = null; // the active cell
  #active = { index: 0, column: 0 };
  #fileOf;
  #id = uniqueId("row");
  #timer;

  /** onSort(column): its header was pressed. fileOf(name): the File of a row, if the browser has it. */
  constructor({ onSort, fileOf }) {
    this.#fileOf = fileOf;
    this.#headers = COLUMNS.map((column) => header(column, onSort));
    this.#empty = element("p", {
      class: "results-empty",
      textContent: text("jobs.table.empty"),
      hidden: true,
    });
    this.#body = element("div", { class: "results-body", attributes: { role: "rowgroup" } });
    this.element = element(
      "div",
      {
        class: "results",
        attributes: {
          role: "grid",
          tabindex: 0,
          "aria-label": text("jobs.table.label"),
          "aria-colcount": COLUMNS.length,
          "aria-readonly": true,
        },
        onscroll: () => this.#draw(),
        onkeydown: (event) => this.#move(event),
        onfocus: () => this.#mark(),
        onclick: (event) => this.#choose(event),
      },
      element(
        "div",
        { class: "results-head", attributes: { role: "rowgroup" } },
        element(
          "div",
          { class: "results-row", attributes: { role: "row", "aria-rowindex": 1 } },
          this.#headers,
        ),
      ),
      this.#body,
      this.#empty,
    );
    new ResizeObserver(() => this.#measure()).observe(this.element);
  }

  /** Show rows. fromTop: of another order or filter than before, so that the place in the old ones is void. */
  show(rows, { threshold, column, descending, fromTop }) {
    this.#rows = rows;
    this.#threshold = threshold;
    if (fromTop) this.element.scrollTop = 0;
    const { index, column: at } = this.#active;
    this.#active = { index: fromTop ? 0 : Math.max(0, Math.min(index, rows.length - 1)), column: at };
    this.#most = Math.max(this.#most, rows.length);
    this.element.style.setProperty("--most", this.#most); // so that the page does not jump with each filter
    this.element.setAttribute("aria-rowcount", rows.length + 1);
    COLUMNS.forEach((name, i) => {
      const order = descending ? "descending" : "ascending";
      this.#headers[i].setAttribute("aria-sort", name === column ? order : "none");
    });
    this.#empty.hidden = rows.length > 0;
    this.#redraw();
  }

  /** Rows have the height that the style sheet gives them, which depends on the window and the font. */
  #measure() {
    if (!this.element.clientHeight) return; // not in the document
    if (!this.#slots.length) this.#addSlot();
    this.#slots[0].element.hidden = false;
    this.#rowHeight = this.#slots[0].element.offsetHeight;
    const needed = Math.ceil(this.element.clientHeight / this.#rowHeight) + 2 * SPARE_ROWS;
    while (this.#slots.length < needed) this.#addSlot();
    this.#redraw();
  }

  #redraw() {
    if (!this.#slots.length) return; // until it is measured
    for (const slot of this.#slots) slot.index = -1;
    this.#draw();
    for (const slot of this.#slots) slot.element.hidden = slot.index < 0;
    this.#body.style.blockSize = `${this.#rows.length * this.#rowHeight}px`;
  }

  #addSlot() {
    const image = element("img", { class: "results-picture", alt: "", decoding: "async", hidden: true });
    const name = element("bdi");
    const cells = COLUMNS.map((column, i) =>
      element("div", {
        class: `results-cell results-${column}`,
        attributes: { role: "gridcell", "aria-colindex": i + 1 },
      }),
    );
    cells[0].append(image, name);
    const row = element("div", { class: "results-row", attributes: { role: "row" } }, cells);
    this.#body.append(row);
    this.#slots.push({ element: row, cells, image, name, index: -1, row: null, release: null });
  }

  /** Fill the slots of the rows in view that are not there yet. */
  #draw() {
    const before = Math.floor(this.element.scrollTop / this.#rowHeight) - SPARE_ROWS;
    const first = Math.max(0, Math.min(before, this.#rows.length - this.#slots.length));
    const end = Math.min(this.#rows.length, first + this.#slots.length);
    for (let i = first; i < end; i++) {
      const slot = this.#slots[i % this.#slots.length];
      if (slot.index !== i) this.#fill(slot, i);
    }
    this.#mark();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#loadPictures(), REST_MS);
  }

  #fill(slot, index) {
    const row = this.#rows[index];
    const { element: line, cells } = slot;
    const answer = label(row, this.#threshold) ?? "unreadable";
    if (row !== slot.row) {
      slot.release?.();
      slot.image.removeAttribute("src");
      slot.image.hidden = !this.#fileOf(row.name);
      slot.name.textContent = cells[0].title = row.name;
      line.toggleAttribute("data-outside", row.outside !== null);
    }
    if (answer !== line.dataset.answer) {
      line.dataset.answer = answer;
      cells[1].textContent = LABELS[answer];
    }
    const unreadable = row.error !== null;
    if (unreadable !== cells[2].hidden) {
      cells[2].hidden = cells[3].hidden = unreadable;
      cells[4].setAttribute("aria-colindex", unreadable ? 3 : 5);
      cells[4].setAttribute("aria-colspan", unreadable ? 3 : 1);
    }
    cells[2].textContent = unreadable ? "" : percent(confidence(row, this.#threshold));
    cells[3].textContent = unreadable ? "" : formatProbability(row.real);
    cells[4].textContent = row.error ?? OUTSIDE[row.outside ?? "no"];
    line.hidden = false;
    line.style.insetBlockStart = `${index * this.#rowHeight}px`;
    line.setAttribute("aria-rowindex", index + 2);
    slot.index = index;
    slot.row = row;
  }

  /** Thumbnails of the rows in view; each address is given back as soon as its picture is there. */
  #loadPictures() {
    for (const slot of this.#slots) {
      if (slot.image.hidden || slot.image.hasAttribute("src") || slot.index < 0) continue;
      const address = URL.createObjectURL(this.#fileOf(slot.row.name));
      slot.release = () => {
        URL.revokeObjectURL(address);
        slot.release = slot.image.onload = slot.image.onerror = null;
      };
      slot.image.onload = slot.release;
      slot.image.onerror = () => {
        slot.release(); // a format that the browser cannot show
        slot.image.hidden = true;
      };
      slot.image.src = address;
    }
  }

  #move(event) {
    if (event.target !== this.element || event.altKey || event.metaKey || !this.#rows.length) return;
    const page = Math.max(1, Math.floor(this.#viewHeight() / this.#rowHeight) - 1);
    const last = this.#rows.length - 1;
    const { key } = event;
    const rows = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -last, End: last }[key];
    const forward = getComputedStyle(this.element).direction === "rtl" ? -1 : 1;
    const columns = { ArrowLeft: -forward, ArrowRight: forward }[key];
    if (rows === undefined && columns === undefined) return;
    event.preventDefault();
    const { index, column } = this.#active;
    const cells = this.#rows[index].error === null ? [0, 1, 2, 3, 4] : [0, 1, 4];
    const place = cells.indexOf(column) < 0 ? cells.length - 1 : cells.indexOf(column);
    this.#active = {
      index: Math.max(0, Math.min(last, index + (rows ?? 0))),
      column: columns ? cells[Math.max(0, Math.min(cells.length - 1, place + columns))] : column,
    };
    this.#reveal();
  }

  #choose(event) {
    const cell = event.target.closest("[role=gridcell]");
    const slot = this.#slots.find(({ cells }) => cells.includes(cell));
    if (!slot) return;
    this.#active = { index: slot.index, column: slot.cells.indexOf(cell) };
    this.#mark();
  }

  /** Scroll as far as the active row needs to be seen whole. */
  #reveal() {
    const top = this.#active.index * this.#rowHeight;
    const room = this.#viewHeight() - this.#rowHeight;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top > this.element.scrollTop + room) this.element.scrollTop = top - room;
    this.#draw();
  }

  #viewHeight() {
    return this.element.clientHeight - this.#body.offsetTop;
  }

  /** Tell which cell is active; none while its row is scrolled out of the elements. */
  #mark() {
    const { index, column } = this.#active;
    const slot = this.#slots[index % this.#slots.length];
    const cell = slot?.index === index ? slot.cells[slot.cells[column].hidden ? 4 : column] : null;
    const id = cell && `${this.#id}-${index}-${column}`;
    if (cell === this.#marked && (!cell || cell.id === id)) return;
    this.#marked?.removeAttribute("id");
    this.#marked?.removeAttribute("data-active");
    this.#marked = cell;
    cell?.setAttribute("data-active", "");
    if (cell) cell.id = id;
    if (cell) this.element.setAttribute("aria-activedescendant", id);
    else this.element.removeAttribute("aria-activedescendant");
  }
}

/** Not rounded up, so that neither 100% nor the limit of a filter is claimed that is not reached. */
function percent(share) {
  return formatPercent(Math.floor(share * 1000 + 1e-6) / 1000, 1);
}

function header(column, onSort) {
  const button = element(
    "button",
    { type: "button", class: "results-sort", onclick: () => onSort(column) },
    text(`jobs.table.columns.${column}`),
  );
  const attributes = { role: "columnheader", "aria-colindex": COLUMNS.indexOf(column) + 1 };
  return element("div", { class: `results-cell results-${column}`, attributes }, button);
}
