// One node in detail: its explanation, assignment and last report.

import { assignmentBox, kindOf } from "./assignment.js";
import { element, redraw } from "./element.js";
import { clock } from "./moment.js";
import { standingOf } from "./standing.js";
import { taskLink, taskName } from "./writer.js";

export class NodePanel {
  #box;
  #onClose;
  #ask;
  #asked = 0;
  #answered = 0;
  #shown = null;
  #drawn = ""; // what is drawn, except the text, whose ages change
  #text = element("p", { class: "text" });

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

  // Fetches the open node again, since its ages change. After a failure the panel keeps what it shows.
  refresh() {
    if (this.#shown && this.#answered === this.#asked) this.open(this.#shown.tier, this.#shown.node, true);
  }

  async open(tier, node, isAgain = false) {
    const isOther = this.#shown?.node !== node || this.#shown?.tier !== tier;
    this.#shown = { tier, node };
    const asked = ++this.#asked;
    let fields = null;
    let problem = null;
    try {
      fields = await this.#ask(tier, node);
    } catch (error) {
      problem = error;
    }
    if (asked !== this.#asked) return;
    this.#answered = asked;
    if (problem && isAgain && !(problem.status < 500)) return;
    const drawn = JSON.stringify({ ...fields, now: "", text: "", problem: problem?.message, tier, node });
    const text = fields?.text ?? problem.message;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    if (drawn === this.#drawn && !this.#box.hidden) return;
    this.#drawn = drawn;
    const parts = fields ? this.#parts(fields) : [this.#text];
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
    const button = element("button", { type: "button", class: "close", "data-key": "close", "aria-label": "Close" }, "×");
    button.addEventListener("click", () => this.close());
    return element("div", { class: "head" }, element("h2", {}, node), element("p", { class: "quiet" }, tier), button);
  }

  #parts({ standing, action, assigned, assigned_by: assignedBy, is_canary: isCanary, is_canary_out: isCanaryOut, unhealthy, report }) {
    const { glyph, words } = standingOf(standing);
    const swatch = element("span", { class: "swatch", "data-standing": standing ?? "unassigned", "aria-hidden": "true" }, glyph);
    const parts = [
      element("p", { class: "standing" }, swatch, element("strong", {}, words)),
      this.#text,
    ];
    if (action) parts.push(element("p", { class: "action" }, element("strong", {}, "What to do: "), action));
    if (assignedBy && !assignedBy.person) {
      const link = taskLink(assignedBy, taskName(assignedBy));
      parts.push(element("p", { class: "task" }, "Log and Clear in Airflow: task ", link));
    }
    if (unhealthy.length) parts.push(element("p", { class: "text" }, `Failing checks: ${unhealthy.join(", ")}`));
    if (assigned) parts.push(element("h3", {}, "Assigned"), assignmentBox(kindOf(isCanary, isCanaryOut), assigned));
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
  return [
    element("h4", {}, kind),
    ...(resource ? [element("p", { class: "text" }, `in ${resource}`)] : []),
    element("pre", { tabindex: "0", "data-key": "error", "aria-label": "Error message" }, message),
    list,
  ];
}
