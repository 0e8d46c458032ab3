// How fast a tier's nodes may converge, who holds its slots, and who of these holds the others up.

import { element } from "./element.js";

export function paceLines(pace) {
  if (!pace) return [];
  const stuck = pace.stuck.map((text) => element("p", { class: "stuck" }, text));
  return [...pace.lines.map((text) => element("p", {}, text)), ...stuck];
}
