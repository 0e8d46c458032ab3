// What is going on, at the top: a line for each rollout.

import { element, redraw } from "./element.js";
import { clock, ended, lasting } from "./moment.js";
import { runLink, taskLink, taskName } from "./writer.js";

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
    this.#box.querySelectorAll("time").forEach(showAge);
  }
}

const GOING_ON = new Set(["nodes", "next_wave", "rolling_back", "rollback_failed"]);

function rolloutItem({ tiers, content, run, wave, verdict, reason, wait, status, ...fields }) {
  const { is_frozen: isFrozen, has_ended: hasEnded, needs_person: needsPerson, said_by: saidBy, since } = fields;
  const isGoingOn = GOING_ON.has(status);
  const time = element("time", { class: needsPerson ? null : "quiet", datetime: since, title: clock(since), "data-past": !isGoingOn && status !== "orphaned" });
  showAge(time);
  const parts = [
    element("strong", { class: "tier-name" }, tiers.join(", ")),
    element("span", {}, content),
    wave && element("span", { class: "kind" }, wave),
    element("strong", { class: "verdict" }, verdict),
    isFrozen && element("strong", { class: "badge frozen" }, "frozen"),
    time,
    element("span", { class: "run quiet" }, ...runParts(run)),
    reason && element("p", {}, reason, element("span", { class: "quiet" }, ...sayerParts(saidBy))),
    wait && element("p", { class: "wait" }, isGoingOn ? null : element("strong", {}, "What to do: "), wait),
  ];
  return element("li", { "data-status": status, "data-tier": tiers.join(" "), class: hasEnded ? "ended" : null }, ...parts.filter(Boolean));
}

// How long it stands like this, or how long ago it ended or was stopped.
function showAge(box) {
  box.textContent = "past" in box.dataset ? ended(box.dateTime) : lasting(box.dateTime);
}

function sayerParts(saidBy) {
  if (!saidBy) return [];
  if (saidBy.person) return [` by ${saidBy.person}`];
  return [" task ", taskLink(saidBy, taskName(saidBy))];
}

function runParts(run) {
  if (!run) return ["a Dag run that you may not see"];
  if (run.person) return [run.person];
  return ["Dag run ", runLink(run, `${run.dag_id}, ${run.run_id}`)];
}
