// Announces changes to screen readers: politely, only each tier's newest, no faster than people can listen.

const PAUSE = 4000; // milliseconds

export class Announcer {
  #region;
  #waiting = new Map();
  #timer = null;

  constructor(region) {
    this.#region = region;
  }

  say(about, words) {
    this.#waiting.set(about, words);
    this.#timer ??= setTimeout(() => this.#flush(), this.#region.textContent ? PAUSE : 0);
  }

  #flush() {
    this.#timer = null;
    this.#region.textContent = [...this.#waiting.values()].join(" ");
    this.#waiting.clear();
  }
}
