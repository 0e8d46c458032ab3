// How many members were in place over time: a stepped line from the declaration to now, or, once all have, to a little
// after the last, so that the final level is visible.

import { drawn, element } from "./element.js";
import { clock, span } from "./moment.js";

const WIDTH = 300;
const HEIGHT = 84;
const BEYOND = 1000; // milliseconds at least

export class Curve {
  #line = drawn("path", { class: "line" });
  #area = drawn("path", { class: "area" });
  #picture = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  #begin = element("span");
  #middle = element("span");
  #end = element("span");
  #most = element("span", { class: "most" });

  constructor() {
    const all = drawn("line", { class: "all", x1: 0, x2: WIDTH, y1: 2, y2: 2 });
    this.#picture.append(this.#area, this.#line, all);
    this.root = element(
      "figure",
      { class: "curve" },
      element("figcaption", {}, "In place over time", this.#most),
      element("div", { class: "plot" }, this.#picture),
      element("div", { class: "axis quiet" }, this.#begin, this.#middle, this.#end),
    );
  }

  draw({ curve, declared_at, members, counts, now }) {
    const points = curve.map(([moment, count]) => [Date.parse(moment), count]);
    const last = points.at(-1);
    const isDone = members > 0 && (counts.converged ?? 0) + (counts.absent ?? 0) + (counts.left ?? 0) === members;
    const declared = Date.parse(declared_at ?? "");
    const from = Number.isNaN(declared) ? (points[0]?.[0] ?? Date.parse(now)) : declared;
    const reached = Math.max(from, last?.[0] ?? from);
    const beyond = reached + Math.max(BEYOND, isDone ? (reached - from) / 10 : 0);
    const to = isDone ? beyond : Math.max(beyond, Date.parse(now));
    const x = (moment) => ((Math.max(moment, from) - from) / (to - from)) * WIDTH;
    const y = (count) => HEIGHT - 1 - (members ? count / members : 0) * (HEIGHT - 3);
    let path = `M0 ${y(0)}`;
    for (const [moment, count] of points) path += `H${x(moment).toFixed(1)}V${y(count).toFixed(1)}`;
    path += `H${WIDTH}`;
    this.#line.setAttribute("d", path);
    this.#area.setAttribute("d", `${path}V${HEIGHT}H0Z`);
    this.#most.textContent = `all: ${members}`;
    this.#begin.textContent = clock(new Date(from).toISOString());
    this.#middle.textContent = last ? `${last[1]} after ${span(Math.max(0, last[0] - from))}` : "none yet";
    this.#end.textContent = clock(new Date(to).toISOString());
    this.#picture.setAttribute("aria-label", `${last?.[1] ?? 0} of ${members} members in place; ${this.#middle.textContent}`);
  }
}
