// Remembers each connection's last environment, since the page's address inside Airflow is fixed.

import { connection } from "./api.js";

const KEY = `chefconsul.environment.${connection}`;

export function chosenEnvironment() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // the browser forbids it
  }
}

export function keepChosen(environment) {
  try {
    localStorage.setItem(KEY, environment);
  } catch {
    return; // forbidden, or full: next time the page starts with the first environment
  }
}
