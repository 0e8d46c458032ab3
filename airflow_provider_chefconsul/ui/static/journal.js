// What was done to the environment, newest first: when, what, who, and why.

import { element } from "./element.js";
import { age, clock } from "./moment.js";
import { writerParts } from "./writer.js";

export class Journal {
  #box;
  #list = element("ol", { tabindex: "0", "aria-label": "What was done, newest first" });

  constructor(box) {
    this.#box = box;
    box.append(element("h2", {}, "What was done"), this.#list);
  }

  draw(entries) {
    this.#box.hidden = entries.length === 0;
    this.#list.replaceChildren(...entries.map(entryItem));
  }

  tick() {
    for (const box of this.#list.querySelectorAll("time")) box.textContent = age(box.dateTime);
  }
}

function entryItem({ at, act, what, wave, by, reason }) {
  const about = what.map((text) => element("strong", {}, text));
  if (wave) about.push(element("span", { class: "kind" }, wave));
  const why = reason ? element("q", {}, reason) : null;
  return element(
    "li",
    { "data-act": act },
    element("time", { datetime: at, title: clock(at) }, age(at)),
    element("div", {}, ...about, element("p", { class: "quiet" }, ...writerParts(by), why && ": ", why)),
  );
}
