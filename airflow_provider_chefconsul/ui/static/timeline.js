// A tier's states, newest first, from its history; faded at the bottom while there is more below.

import { valueChips } from "./assignment.js";
import { element } from "./element.js";
import { clock } from "./moment.js";
import { writerParts } from "./writer.js";

export class Timeline {
  #list;
  #drawn = "";

  constructor(tier) {
    this.#list = element("ol", { tabindex: "0", "aria-label": `States of ${tier}, newest first` });
    this.root = element("section", { class: "timeline" }, element("h3", {}, "States"), this.#list);
    this.#list.addEventListener("scroll", () => this.#fade());
    new ResizeObserver(() => this.#fade()).observe(this.#list);
  }

  draw(history, desired) {
    const signature = JSON.stringify([history, desired?.stable.generation, desired?.canary?.generation]);
    if (signature === this.#drawn) return;
    this.#drawn = signature;
    const assigned = new Set([desired?.stable.generation, desired?.canary?.generation]);
    this.#list.replaceChildren(
      ...history.map((each) =>
        element(
          "li",
          { class: assigned.has(each.generation) ? "now" : null },
          element("span", { class: "generation" }, `${each.generation}`),
          element(
            "div",
            {},
            element("strong", {}, each.state),
            each.is_canary ? element("span", { class: "kind" }, "canary first") : null,
            ...valueChips(each),
            element("p", { class: "quiet" }, `${clock(each.written_at)} `, ...writerParts(each.written_by)),
          ),
        ),
      ),
    );
    this.#fade();
  }

  #fade() {
    const { scrollTop, clientHeight, scrollHeight } = this.#list;
    this.root.classList.toggle("more", scrollTop + clientHeight < scrollHeight - 1);
  }
}
