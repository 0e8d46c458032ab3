// The environment that was chosen last, by connection: Airflow fixes the address of the page inside of it.

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
    return; // forbidden, or full: the page then begins with the first environment again
  }
}
