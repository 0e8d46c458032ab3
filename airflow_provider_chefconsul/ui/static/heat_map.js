// A tier's nodes as cells: one tab stop, arrow keys within, Enter or a click asks for a node.

import { element } from "./element.js";
import { standingOf } from "./standing.js";

const BY_NAME = new Intl.Collator("en", { numeric: true });
const SIZES = [
  [60, "large"],
  [500, "medium"],
  [2500, "small"],
  [Infinity, "tiny"],
];

export class HeatMap {
  #tier;
  #cells = new Map(); // by node: { box, fields }
  #names = [];
  #current = null;
  #hint;
  #onOpen;
  #assigned = () => null;

  // hint: where the node under the pointer or the focus is described; onOpen: asks for a node.
  constructor(tier, hint, onOpen) {
    this.#tier = tier;
    this.#onOpen = onOpen;
    this.#hint = hint;
    this.box = element("div", { class: "cells", role: "listbox", "aria-label": `Nodes of ${tier}` });
    this.box.addEventListener("keydown", (event) => this.#onKey(event));
    this.box.addEventListener("click", (event) => this.#onClick(event));
    this.box.addEventListener("focusin", (event) => this.#show(event.target));
    this.box.addEventListener("pointerover", (event) => this.#show(event.target));
    this.box.addEventListener("pointerleave", () => (this.#hint.textContent = ""));
  }

  // nodes: [name, standing, isCanary, generation, state, status]; assigned: of a canary or not, its assignment.
  update(nodes, gone, isWhole, assigned) {
    this.#assigned = assigned;
    const leaving = isWhole ? this.#names.filter(missingFrom(nodes)) : gone;
    for (const name of leaving) this.#remove(name);
    if (this.#cells.size === 0) this.#fill(nodes);
    else for (const fields of nodes) this.#put(fields);
    const size = SIZES.find(([most]) => this.#names.length <= most)[1];
    if (this.box.dataset.size !== size) this.box.dataset.size = size;
    if (!this.#current || !this.#cells.has(this.#current)) this.#setCurrent(this.#names[0] ?? null);
  }

  // Every name again: what is assigned has changed.
  rename() {
    for (const { box, fields } of this.#cells.values()) box.setAttribute("aria-label", this.#describe(fields));
  }

  focus(name) {
    const cell = this.#cells.get(name);
    if (!cell) return;
    this.#setCurrent(name);
    cell.box.focus();
  }

  // The next node of a standing, after the current one.
  focusNext(standing) {
    const from = this.#names.indexOf(this.#current) + 1;
    const order = [...this.#names.slice(from), ...this.#names.slice(0, from)];
    const found = order.find((name) => this.#cells.get(name).fields[1] === standing);
    if (found) this.focus(found);
  }

  select(name) {
    this.box.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    if (name) this.#cells.get(name)?.box.setAttribute("aria-selected", "true");
  }

  #fill(nodes) {
    const all = document.createDocumentFragment();
    for (const fields of nodes) {
      const cell = this.#make(fields);
      this.#cells.set(fields[0], cell);
      this.#names.push(fields[0]);
      all.append(cell.box);
    }
    this.box.append(all);
  }

  #put(fields) {
    const known = this.#cells.get(fields[0]);
    if (known) {
      const isSame = known.fields.every((field, at) => field === fields[at]);
      known.fields = fields;
      if (!isSame) this.#draw(known); // after a reconnection most are
      return;
    }
    const cell = this.#make(fields);
    let at = this.#names.findIndex((name) => BY_NAME.compare(name, fields[0]) > 0);
    if (at < 0) at = this.#names.length;
    this.box.insertBefore(cell.box, this.#cells.get(this.#names[at])?.box ?? null);
    this.#names.splice(at, 0, fields[0]);
    this.#cells.set(fields[0], cell);
  }

  #remove(name) {
    this.#cells.get(name)?.box.remove();
    this.#cells.delete(name);
    this.#names = this.#names.filter((each) => each !== name);
  }

  #make(fields) {
    const box = document.createElement("div");
    box.className = "cell";
    box.setAttribute("role", "option");
    box.setAttribute("aria-selected", "false");
    box.tabIndex = -1;
    box.dataset.node = fields[0];
    const glyph = document.createElement("span");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = fields[0];
    box.append(glyph, name);
    const cell = { box, glyph, fields };
    this.#draw(cell);
    return cell;
  }

  #draw({ box, glyph, fields }) {
    const [, standing, isCanary] = fields;
    box.dataset.standing = standing ?? "unassigned";
    box.classList.toggle("canary", Boolean(isCanary));
    glyph.textContent = standingOf(standing).glyph;
    box.setAttribute("aria-label", this.#describe(fields));
    if (box === document.activeElement) this.#hint.textContent = this.#describe(fields);
  }

  #describe([node, standing, isCanary, generation, state, status]) {
    const wanted = this.#assigned(Boolean(isCanary));
    const assigned = wanted ? `, assigned generation ${wanted.generation} ${wanted.state}` : "";
    const reported = status ? `, reports ${status}${generation === null ? "" : ` generation ${generation}`}` : "";
    const other = state && wanted && state !== wanted.state ? ` ${state}` : "";
    return `${node}: ${standingOf(standing).words}${isCanary ? ", canary" : ""}${assigned}${reported}${other}`;
  }

  #show(target) {
    const name = target.closest?.(".cell")?.dataset.node;
    if (name) this.#hint.textContent = this.#describe(this.#cells.get(name).fields);
  }

  #setCurrent(name) {
    const before = this.#cells.get(this.#current);
    if (before) before.box.tabIndex = -1;
    this.#current = name;
    if (name) this.#cells.get(name).box.tabIndex = 0;
  }

  #onClick(event) {
    const name = event.target.closest(".cell")?.dataset.node;
    if (!name) return;
    this.focus(name);
    this.#onOpen(this.#tier, name);
  }

  #onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.#names.indexOf(this.#current);
    const columns = getComputedStyle(this.box).gridTemplateColumns.split(" ").length;
    const last = this.#names.length - 1;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: last - at };
    if (event.key in steps) {
      const to = at + steps[event.key];
      if (to >= 0 && to <= last) this.focus(this.#names[to]);
    } else if (event.key === "Enter" || event.key === " ") {
      if (this.#current) this.#onOpen(this.#tier, this.#current);
    } else {
      return;
    }
    event.preventDefault();
  }
}

function missingFrom(nodes) {
  const there = new Set(nodes.map(([name]) => name));
  return (name) => !there.has(name);
}
