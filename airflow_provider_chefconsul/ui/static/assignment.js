// An assignment as people read it: generation, state, values.

import { element } from "./element.js";

// Only with a canary are there two assignments to tell apart.
export function kindOf(isCanary, isCanaryOut) {
  if (!isCanaryOut) return "assigned";
  return isCanary ? "canary" : "stable";
}

export function assignmentBox(kind, assignment) {
  return element(
    "p",
    { class: `assignment ${kind}` },
    element("span", { class: "kind" }, kind),
    element("span", { class: "generation" }, `generation ${assignment.generation}`),
    element("strong", {}, assignment.state),
    ...valueChips(assignment),
  );
}

export function valueChips({ values, values_left_out: leftOut }) {
  const chips = values.map(([name, value]) => element("span", { class: "value" }, `${name}=${value}`));
  return leftOut ? [...chips, element("span", { class: "quiet" }, `and ${leftOut} more`)] : chips;
}
