// What is going on, at the top: a line for each rollout.

import { element, redraw } from "./element.js";
import { age, clock } from "./moment.js";
import { runLink } from "./writer.js";

export class Rollouts {
  #box;

  constructor(box) {
    this.#box = box;
  }

  draw(rollouts) {
    this.#box.hidden = rollouts.length === 0;
    redraw(this.#box, ...rollouts.map(rolloutItem));
  }

  tick() {
    for (const box of this.#box.querySelectorAll("time")) box.textContent = age(box.dateTime);
  }
}

function rolloutItem({ tiers, content, run, wave, verdict, reason, wait, since, status, ...fields }) {
  const { is_frozen: isFrozen, has_ended: hasEnded, said_by: saidBy } = fields;
  const who = saidBy?.person ? element("span", { class: "quiet" }, ` by ${saidBy.person}`) : "";
  const parts = [
    element("strong", { class: "tier-name" }, tiers.join(", ")),
    element("span", {}, content),
    wave && element("span", { class: "kind" }, wave),
    element("strong", { class: "verdict" }, verdict),
    isFrozen && element("strong", { class: "badge frozen" }, "frozen"),
    element("time", { class: "quiet", datetime: since, title: clock(since) }, age(since)),
    wait && element("span", { class: "wait" }, wait),
    element("span", { class: "run quiet" }, ...runParts(run)),
    reason && element("p", { class: "reason" }, reason, who),
  ];
  return element("li", { "data-status": status, "data-tier": tiers.join(" "), class: hasEnded ? "ended" : null }, ...parts.filter(Boolean));
}

function runParts(run) {
  if (!run) return ["a Dag run that you may not see"];
  if (run.person) return [run.person];
  return ["Dag run ", runLink(run, `${run.dag_id}, ${run.run_id}`)];
}
