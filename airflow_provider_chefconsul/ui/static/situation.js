// What is going on and what the viewer may do: rollouts, freezes, the journal, and the buttons.

import { actButtons } from "./acts.js";
import { redraw } from "./element.js";
import { freezeItems, isCurrent } from "./freeze.js";
import { Journal } from "./journal.js";
import { Rollouts } from "./rollouts.js";

const NOTHING_FROZEN = { problem: null, entries: [] };

export class Situation {
  order = []; // of the tiers: those that need a person first
  #boxes;
  #cards;
  #journal;
  #rollouts;
  #environment = "";
  #freeze = NOTHING_FROZEN;
  #acts = {}; // by tier
  #mayEdit = false;
  #isHeld = false;
  #offered = "";

  // boxes: elements by name: journal, rollouts, freeze, acts; cards: by tier.
  constructor(boxes, cards) {
    this.#boxes = boxes;
    this.#cards = cards;
    this.#journal = new Journal(boxes.journal);
    this.#rollouts = new Rollouts(boxes.rollouts);
  }

  // Forgets what another environment was like.
  begin(environment) {
    this.#environment = environment;
    this.#acts = {};
    this.#mayEdit = this.#isHeld = false;
    this.order = [];
    this.#rollouts.draw([]);
    this.showJournal({ entries: [], freeze: NOTHING_FROZEN });
  }

  showJournal({ entries, freeze }) {
    this.#journal.draw(entries);
    this.#freeze = freeze;
    this.#showFreeze();
  }

  showLease(lease) {
    this.#isHeld = lease !== null && !lease.problem;
    this.#offer();
  }

  show({ order, tiers, rollouts, may_edit: mayEdit }) {
    this.order = order;
    this.#rollouts.draw(rollouts);
    this.#mayEdit = mayEdit;
    for (const [tier, fields] of Object.entries(tiers)) {
      this.#cards.get(tier)?.lead(fields);
      this.#acts[tier] = fields.acts;
    }
    this.#offer();
  }

  tick() {
    this.#journal.tick();
    this.#rollouts.tick();
    if (!this.#boxes.freeze.hidden) this.#showFreeze(); // it may have ended
  }

  #showFreeze() {
    const items = freezeItems(this.#freeze);
    this.#boxes.freeze.hidden = items.length === 0;
    redraw(this.#boxes.freeze, ...items);
    this.#offer();
  }

  #offer() {
    const frozen = this.#freeze.entries.filter(isCurrent).map((each) => each.tier);
    for (const [tier, card] of this.#cards) {
      const freezing = this.#mayEdit ? [frozen.includes(tier) ? "unfreeze" : "freeze"] : [];
      card.offer([...(this.#acts[tier] ?? []), ...freezing], this.#environment, tier);
    }
    const whole = ["freeze", ...(frozen.length ? ["unfreeze"] : []), ...(this.#isHeld ? ["break_lease"] : [])];
    const offered = this.#mayEdit ? whole : [];
    const signature = [this.#environment, ...offered].join();
    if (signature === this.#offered) return;
    this.#offered = signature;
    redraw(this.#boxes.acts, ...actButtons(offered, this.#environment, null));
  }
}
