// One tier: its assignments, its nodes, its curve and its states.

import { actButtons } from "./acts.js";
import { assignmentBox, kindOf } from "./assignment.js";
import { Curve } from "./curve.js";
import { element, redraw } from "./element.js";
import { HeatMap } from "./heat_map.js";
import { clock, lasting } from "./moment.js";
import { paceLines } from "./pace.js";
import { STANDINGS, standingOf } from "./standing.js";
import { Timeline } from "./timeline.js";

export class TierCard {
  #onOpen;
  #onChange;
  #curve = new Curve();
  #timeline;
  #lead = element("p", { class: "lead" });
  #acts = element("div", { class: "acts" });
  #fraction = element("p", { class: "fraction" });
  #bar = element("div", { class: "bar", "aria-hidden": "true" });
  #counts = element("ul", { class: "counts" });
  #assigned = element("div", { class: "assigned" });
  #pace = element("div", { class: "pace" });
  #notes = element("ul", { class: "notes" });
  #texts = new Map(); // by explained node
  #last = {};
  #offered = "";

  // hint: describes nodes; onOpen: opens one; onChange: takes a sentence when the counts have changed.
  constructor(tier, hint, onOpen, onChange) {
    this.#onOpen = onOpen;
    this.#onChange = onChange;
    this.map = new HeatMap(tier, hint, onOpen);
    this.#timeline = new Timeline(tier);
    this.root = element(
      "section",
      { class: "tier", "aria-label": `Tier ${tier}`, "data-tier": tier },
      element(
        "div",
        { class: "overview" },
        element("div", { class: "head" }, element("h2", {}, tier), this.#lead, this.#acts),
        element("div", { class: "head" }, this.#fraction, this.#bar, this.#counts),
        this.#assigned,
        this.#pace,
      ),
      this.map.box,
      this.#notes,
      this.#curve.root,
      this.#timeline.root,
    );
  }

  update(fields, isWhole) {
    const { desired } = fields;
    const assigned = (isCanary) => (isCanary ? desired?.canary : desired?.stable) ?? null;
    const isOther = (name) => JSON.stringify(fields[name]) !== JSON.stringify(this.#last[name]);
    this.map.update(fields.nodes, fields.gone, isWhole, assigned);
    this.root.classList.toggle("wide", this.map.box.dataset.size !== "large");
    if (isOther("desired")) {
      this.map.rename();
      this.#drawAssigned(desired);
    }
    if (isOther("counts") || isOther("members")) this.#drawCounts(fields);
    if (isOther("obstacles") || isOther("explained") || isOther("strangers_count")) this.#drawNotes(fields);
    if (isOther("pace")) this.#pace.replaceChildren(...paceLines(fields.pace));
    this.#curve.draw(fields);
    this.#timeline.draw(fields.history, desired);
    this.#last = fields;
  }

  // What the tier is, in large letters; what it was before and since when; and what is amiss.
  lead({ content, before, since, left, attention, is_frozen: isFrozen }) {
    const was = before ? `before: ${before}, ` : "";
    const parts = [
      content && element("strong", { class: "content" }, content),
      since && element("span", { class: "quiet" }, was, element("time", { datetime: since, title: clock(since) }, lasting(since))),
      attention && element("strong", { class: "badge amiss" }, attention),
      left && element("strong", { class: "badge left" }, `last served ${left}`),
      isFrozen && element("strong", { class: "badge frozen" }, "frozen"),
    ];
    this.#lead.replaceChildren(...parts.filter(Boolean));
    this.root.classList.toggle("amiss", Boolean(attention));
    this.root.classList.toggle("left", Boolean(left));
  }

  // What the viewer may do; drawn again only when that changes, so that no click is lost.
  offer(acts, environment, tier) {
    const signature = acts.join();
    if (this.#offered === signature) return;
    this.#offered = signature;
    redraw(this.#acts, ...actButtons(acts, environment, tier));
  }

  tickLead() {
    for (const box of this.#lead.querySelectorAll("time")) box.textContent = lasting(box.dateTime);
  }

  // Where only ages have changed it replaces just the text, so that no click or selection is lost.
  explainAgain({ explained, pace }) {
    this.#pace.replaceChildren(...paceLines(pace));
    this.#last = { ...this.#last, explained, pace };
    const isSame = explained.length === this.#texts.size && explained.every(({ node }) => this.#texts.has(node));
    if (!isSame) {
      this.#drawNotes(this.#last);
      return;
    }
    for (const { node, text } of explained) this.#texts.get(node)?.replaceChildren(text);
  }

  // Extends the curve while nothing else changes.
  tick(elapsed) {
    if (this.#last.now) this.#curve.draw({ ...this.#last, now: new Date(Date.parse(this.#last.now) + elapsed).toISOString() });
  }

  #drawAssigned(desired) {
    if (!desired) {
      this.#assigned.replaceChildren();
      return;
    }
    const boxes = [assignmentBox(kindOf(false, desired.canary), desired.stable)];
    if (desired.canary) boxes.push(assignmentBox(kindOf(true, desired.canary), desired.canary));
    this.#assigned.replaceChildren(...boxes);
  }

  #drawCounts({ counts, members }) {
    const converged = counts.converged ?? 0;
    this.#fraction.textContent = `${converged} of ${members} in place`;
    const there = [...STANDINGS.keys()].filter((name) => counts[name]);
    this.#bar.replaceChildren(
      ...there.map((name) => {
        const part = element("span", { "data-standing": name });
        part.style.flexGrow = counts[name];
        return part;
      }),
    );
    redraw(
      this.#counts,
      ...there.map((name) => {
        const { glyph, words } = standingOf(name);
        const button = element("button", { type: "button", "data-key": name, title: `Go to the next node that is ${words}` });
        button.append(element("span", { class: "swatch", "data-standing": name, "aria-hidden": "true" }, glyph), `${counts[name]} ${words}`);
        button.addEventListener("click", () => this.map.focusNext(name));
        return element("li", {}, button);
      }),
    );
    const others = there.filter((name) => name !== "converged").map((name) => `${counts[name]} ${standingOf(name).words}`);
    this.#onChange([`${converged} of ${members} in place`, ...others].join(", "));
  }

  #drawNotes({ tier, obstacles, explained, strangers, strangers_count: strangersCount }) {
    const notes = obstacles.map((text) => element("li", { class: "obstacle" }, text));
    this.#texts.clear();
    for (const { node, standing, text } of explained) {
      const button = element("button", { type: "button", class: "node", "data-key": node }, node);
      button.addEventListener("click", () => this.#onOpen(tier, node));
      const swatch = element("span", { class: "swatch", "data-standing": standing, "aria-hidden": "true" }, standingOf(standing).glyph);
      const words = element("span", { class: "text" }, text);
      this.#texts.set(node, words);
      notes.push(element("li", {}, swatch, button, words));
    }
    if (strangersCount) {
      const names = strangers.join(", ") + (strangersCount > strangers.length ? ", …" : "");
      notes.push(element("li", { class: "quiet" }, `reported, but not members: ${strangersCount} (${names})`));
    }
    redraw(this.#notes, ...notes);
  }
}
