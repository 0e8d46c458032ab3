// Buttons for those who may act, and the dialog in which an act is planned, given a reason, and confirmed.

import { doAct, planAct } from "./api.js";
import { element } from "./element.js";

const ACTS = {
  promote: { button: "Promote", title: (about) => `Promote ${about}` },
  abort: { button: "Abort", title: (about) => `Abort the rollout of ${about}` },
  roll_back: { button: "Roll back", title: (about) => `Roll ${about} back to what was last good` },
  freeze: { button: "Freeze", whole: "Freeze all", title: (about) => `Freeze ${about}` },
  unfreeze: { button: "Unfreeze", whole: "Unfreeze all", title: (about) => `End the freeze of ${about}` },
  break_lease: { button: "Break lease", title: (about) => `Break the lease of ${about}` },
};

// tier: null for the whole environment.
export function actButtons(acts, environment, tier) {
  return acts.map((act) => {
    const words = tier ? ACTS[act].button : (ACTS[act].whole ?? ACTS[act].button);
    const button = element("button", { type: "button", "data-key": `${act} ${tier ?? ""}` }, words);
    button.addEventListener("click", () => new ActDialog(act, environment, tier).open());
    return button;
  });
}

class ActDialog {
  #act;
  #environment;
  #tier;
  #seen = null;
  #plan = element("p", { class: "plan", role: "status" }, "Planning…");
  #reason = element("textarea", { rows: "2", maxlength: "500", required: true });
  #until = element("input", { type: "datetime-local" });
  #confirm;
  #box;

  constructor(act, environment, tier) {
    this.#act = act;
    this.#environment = environment;
    this.#tier = tier;
    const title = ACTS[act].title(tier ? `${environment}/${tier}` : environment);
    this.#confirm = element("button", { type: "button", class: "confirm", disabled: true }, ACTS[act].button);
    const cancel = element("button", { type: "button" }, "Cancel");
    const parts = [
      element("h2", {}, title),
      this.#plan,
      element("label", {}, "Reason, for the journal", this.#reason),
      act === "freeze" ? element("label", {}, "Until (empty: until somebody ends it)", this.#until) : null,
      element("div", { class: "buttons" }, cancel, this.#confirm),
    ];
    this.#box = element("dialog", { "aria-label": title }, ...parts);
    cancel.addEventListener("click", () => this.#box.close());
    this.#box.addEventListener("close", () => this.#box.remove());
    this.#reason.addEventListener("input", () => this.#allow());
    this.#confirm.addEventListener("click", () => this.#do());
  }

  async open() {
    document.body.append(this.#box);
    this.#box.showModal();
    this.#reason.focus();
    try {
      const { text, seen } = await planAct(this.#environment, this.#act, { tier: this.#tier });
      this.#plan.textContent = text;
      this.#seen = seen;
      this.#allow();
    } catch (error) {
      this.#refuse(error);
    }
  }

  async #do() {
    this.#confirm.disabled = true;
    const until = this.#until.value ? new Date(this.#until.value).toISOString() : null;
    const reason = this.#reason.value;
    try {
      await doAct(this.#environment, this.#act, { tier: this.#tier, reason, until, seen: this.#seen });
      this.#box.close();
    } catch (error) {
      this.#refuse(error);
      this.#allow();
    }
  }

  #allow() {
    this.#confirm.disabled = this.#seen === null || this.#reason.value.trim() === "";
  }

  #refuse(error) {
    this.#plan.textContent = error.message;
    this.#plan.classList.add("refused");
  }
}
