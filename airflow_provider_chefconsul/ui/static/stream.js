// The live connection: one per page, closed while the page is hidden, reopened after a failure.

const AGAIN = 2000; // milliseconds

export class Stream {
  #source = null;
  #timer = null;
  #address = null;
  #failures = 0; // since the server last answered
  #handlers;

  // handlers: environment, journal, tier, nodes, explained, situation, unavailable and available take an event's fields; refused takes
  // nothing and is called when the server says no, lost when it does not answer.
  constructor(handlers) {
    this.#handlers = handlers;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#disconnect() : this.#connect()));
    window.addEventListener("pagehide", () => this.#disconnect());
  }

  open(address) {
    this.#address = address;
    this.#disconnect();
    if (!document.hidden) this.#connect();
  }

  close() {
    this.#address = null;
    this.#disconnect();
  }

  #connect() {
    if (this.#source || !this.#address) return;
    const source = new EventSource(this.#address);
    this.#source = source;
    for (const name of ["environment", "journal", "tier", "nodes", "explained", "situation", "unavailable", "available"]) {
      source.addEventListener(name, (event) => this.#handlers[name](JSON.parse(event.data)));
    }
    source.addEventListener("open", () => (this.#failures = 0));
    source.addEventListener("error", () => {
      const isRefused = source.readyState === EventSource.CLOSED;
      // The server ends each stream after a while, which is no failure; the browser reconnects at once.
      if (!isRefused && ++this.#failures <= 2) return;
      this.#disconnect();
      this.#timer = setTimeout(() => this.#connect(), AGAIN);
      if (isRefused) this.#handlers.refused();
      else this.#handlers.lost();
    });
  }

  #disconnect() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }
}
