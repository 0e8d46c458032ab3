// What is frozen, in words: by whom, since when, until when and why.

import { element } from "./element.js";
import { clock } from "./moment.js";
import { writerParts } from "./writer.js";

export function freezeItems({ problem, entries }) {
  if (problem) return [element("li", {}, problem)];
  return entries.filter(isCurrent).map(({ tier, by, since, until, reason }) => {
    const about = tier === "*" ? "all tiers" : tier;
    const ends = until ? `until ${clock(until)}` : "until somebody ends it";
    const why = reason ? [": ", element("strong", {}, reason)] : [];
    return element("li", {}, element("strong", {}, `Frozen: ${about} `), ...writerParts(by), ` since ${clock(since)}, ${ends}`, ...why);
  });
}

export function isCurrent({ until }) {
  return !until || Date.parse(until) > Date.now();
}
