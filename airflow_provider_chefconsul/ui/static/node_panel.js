// What there is to know of one node: its explanation, what it is assigned, and its last report.

import { assignmentBox } from "./assignment.js";
import { element, redraw } from "./element.js";
import { clock } from "./moment.js";
import { standingOf } from "./standing.js";

export class NodePanel {
  #box;
  #onClose;
  #ask;
  #asked = 0;
  #shown = null;

  // ask: fetches a node's fields; onClose: takes the tier and the node that was shown.
  constructor(box, ask, onClose) {
    this.#box = box;
    this.#ask = ask;
    this.#onClose = onClose;
    box.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  get shown() {
    return this.#shown;
  }

  async open(tier, node) {
    const isOther = this.#shown?.node !== node || this.#shown?.tier !== tier;
    this.#shown = { tier, node };
    const asked = ++this.#asked;
    let parts;
    try {
      parts = this.#parts(await this.#ask(tier, node));
    } catch (error) {
      parts = [element("p", { class: "text" }, error.message)];
    }
    if (asked !== this.#asked) return;
    redraw(this.#box, this.#head(tier, node), ...parts);
    this.#box.hidden = false;
    if (isOther) this.#box.focus({ preventScroll: true });
  }

  close() {
    if (!this.#shown) return;
    const { tier, node } = this.#shown;
    this.#shown = null;
    this.#asked++;
    this.#box.hidden = true;
    this.#onClose(tier, node);
  }

  #head(tier, node) {
    const button = element("button", { type: "button", class: "close", "data-key": "close", "aria-label": "Close" }, "✕");
    button.addEventListener("click", () => this.close());
    return element("div", { class: "head" }, element("h2", {}, node), element("p", { class: "quiet" }, tier), button);
  }

  #parts({ standing, text, action, assigned, is_canary: isCanary, unhealthy, report }) {
    const { glyph, words } = standingOf(standing);
    const swatch = element("span", { class: "swatch", "data-standing": standing ?? "unassigned", "aria-hidden": "true" }, glyph);
    const parts = [
      element("p", { class: "standing" }, swatch, element("strong", {}, words)),
      element("p", { class: "text" }, text),
    ];
    if (action) parts.push(element("p", { class: "action" }, element("strong", {}, "What to do: "), action));
    if (unhealthy.length) parts.push(element("p", { class: "text" }, `Checks that do not pass: ${unhealthy.join(", ")}`));
    if (assigned) parts.push(element("h3", {}, "Assigned"), assignmentBox(isCanary ? "canary" : "stable", assigned));
    parts.push(element("h3", {}, "Last report"), ...reportParts(report));
    return parts;
  }
}

function reportParts(report) {
  if (!report) return [element("p", { class: "quiet" }, "It has never reported.")];
  if (report.problem) return [element("p", { class: "text" }, report.problem)];
  const rows = [
    ["Status", report.status],
    ["Generation", report.generation ?? "none was read"],
    ["State", report.state ?? "none was read"],
    ["Started", clock(report.started_at)],
    ["Finished", report.finished_at ? clock(report.finished_at) : "not yet"],
    ["Updated resources", report.updated_resources],
    ["Source", report.source],
    ["Client", report.client],
    ["Run", report.run_id],
  ].filter(([, value]) => value !== "");
  const list = element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, `${value}`)]));
  if (!report.error) return [list];
  const { class: kind, message, resource } = report.error;
  const where = resource ? element("p", { class: "text" }, `in ${resource}`) : null;
  return [
    element("h4", {}, kind),
    ...(where ? [where] : []),
    element("pre", { tabindex: "0", "data-key": "error", "aria-label": "Error message" }, message),
    list,
  ];
}
