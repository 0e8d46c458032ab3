// The page: chooses an environment, follows it live, and passes its events to the cards.

import { Announcer } from "./announcer.js";
import { askedEnvironment, connection, dagId, eventsAddress, fetchEnvironments, fetchNode, runId } from "./api.js";
import { chosenEnvironment, keepChosen } from "./chosen.js";
import { element, redraw } from "./element.js";
import { leaseText } from "./lease.js";
import { NodePanel } from "./node_panel.js";
import { Situation } from "./situation.js";
import { STANDINGS } from "./standing.js";
import { Stream } from "./stream.js";
import { followTheme } from "./theme.js";
import { TierCard } from "./tier_card.js";

const SHOWN_AT_FIRST = 8; // tiers
const MOST_SHOWN = 16; // as many as the server sends at once
const AGAIN = 2000; // milliseconds
const AGES_EVERY = 4000; // milliseconds
const NOTHING_DECLARED = "Consul answers, but nothing is declared in it yet: trigger a Dag that declares a tier's state.";

const byId = (id) => document.getElementById(id);
const announcer = new Announcer(byId("announcer"));
const panel = new NodePanel(byId("panel"), (tier, node) => fetchNode(environment, tier, node), leavePanel);
const cards = new Map();
const boxes = Object.fromEntries(["journal", "rollouts", "freeze", "acts"].map((name) => [name, byId(name)]));
const situation = new Situation(boxes, cards);
const stream = new Stream({
  environment: showEnvironment,
  journal: (fields) => situation.showJournal(fields),
  tier: (fields) => showTier(fields, true),
  nodes: (fields) => showTier(fields, false),
  situation: showSituation,
  explained: (fields) => cards.get(fields.tier)?.explainAgain(fields),
  unavailable: ({ message }) => showTrouble(`Consul is not available: ${message}. Trying again; the page may be out of date.`),
  available: () => showTrouble(missing),
  refused: () => load(),
  lost: () => showTrouble("Airflow does not answer. Trying again; the page may be out of date."),
});
let environment = "";
let missing = ""; // the message while the requested environment does not exist
let tiers = [];
let shown = [];
let lastChange = performance.now();
let again = null;

followTheme();
drawLegend();
byId("connection").textContent = `connection ${connection}`;
load();
setInterval(() => cards.forEach((card) => card.tick(performance.now() - lastChange)), 1000);
setInterval(() => document.hidden || showAges(), AGES_EVERY);

function showAges() {
  panel.refresh();
  situation.tick();
  cards.forEach((card) => card.tickLead());
}

async function load() {
  try {
    const found = await fetchEnvironments();
    showTrouble("");
    drawEnvironments(found);
  } catch (error) {
    const isAway = !(error.status < 500);
    const what = error.status === 503 ? "Consul is not available: " : "";
    showTrouble(isAway ? `${what}${error.message}. Trying again; if it does not get better, look at the connection ${connection}.` : error.message);
    if (error.status === 401 || error.status === 403) forget();
    if (environment) return;
    byId("tiers").replaceChildren(); // it is not loading
    loadAgain();
  }
}

function loadAgain() {
  clearTimeout(again);
  again = setTimeout(load, AGAIN);
}

// A viewer who has lost the permission must not keep the old data.
function forget() {
  stream.close();
  panel.close();
  cards.clear();
  situation.begin("");
  environment = "";
  byId("tiers").replaceChildren();
  byId("environments").replaceChildren();
  byId("lease").textContent = "";
}

function drawEnvironments({ environments, of_run: ofRun }) {
  const names = environments.map((each) => each.environment);
  const preferred = [environment, askedEnvironment, ...ofRun, chosenEnvironment(), names[0]].find((name) => names.includes(name));
  redraw(
    byId("environments"),
    ...names.map((name) => {
      const button = element("button", { type: "button", "data-environment": name, "data-key": name }, name);
      if (ofRun.includes(name)) button.append(element("span", { class: "kind" }, "this run"));
      button.addEventListener("click", () => {
        keepChosen(name);
        if (missing) showTrouble((missing = ""));
        choose(name, environments);
      });
      return button;
    }),
  );
  if (!environment && askedEnvironment && !names.includes(askedEnvironment)) {
    missing = `There is no environment ${askedEnvironment} in the Consul of connection ${connection}.`;
    showTrouble(missing);
  }
  if (preferred === undefined) {
    byId("tiers").replaceChildren(element("p", { class: "empty" }, NOTHING_DECLARED));
    setLive(true); // Consul answers, and is asked again
    loadAgain();
    return;
  }
  if (dagId && runId && ofRun.length === 0) {
    byId("lease").textContent = "The history contains nothing written by this Dag run.";
  }
  choose(preferred, environments);
}

function choose(name, environments) {
  if (name !== environment) {
    panel.close();
    cards.clear();
    situation.begin(name);
    byId("tiers").replaceChildren(element("p", { class: "quiet" }, "Loading…"));
    environment = name;
    tiers = [];
    const query = new URLSearchParams(location.search);
    query.set("environment", name);
    history.replaceState(null, "", `?${query}`);
  }
  for (const button of byId("environments").children) {
    button.setAttribute("aria-current", button.dataset.environment === name ? "true" : "false");
  }
  setTiers(environments.find((each) => each.environment === name).tiers);
}

function setTiers(found) {
  const isNew = JSON.stringify(found) !== JSON.stringify(tiers);
  if (!isNew && shown.length) return;
  const isFirst = tiers.length === 0;
  const added = found.filter((tier) => !tiers.includes(tier));
  const kept = isFirst ? [] : shown.filter((tier) => found.includes(tier));
  tiers = found;
  show([...kept, ...added].slice(0, Math.max(SHOWN_AT_FIRST, kept.length)));
}

function show(chosen) {
  shown = tiers.filter((tier) => chosen.includes(tier));
  drawChoice();
  for (const [tier, card] of cards) {
    if (shown.includes(tier)) continue;
    card.root.remove();
    cards.delete(tier);
  }
  if (shown.length) {
    stream.open(eventsAddress(environment, shown));
    return;
  }
  stream.close();
  if (tiers.length) return;
  setLive(true);
  byId("tiers").replaceChildren(element("p", { class: "quiet" }, `${environment} has no tiers yet. Declare them with a SetDesiredStateOperator.`));
  loadAgain();
}

function drawChoice() {
  const box = byId("choice");
  box.hidden = tiers.length <= SHOWN_AT_FIRST;
  if (box.hidden) return;
  const buttons = tiers.map((tier) => {
    const isShown = shown.includes(tier);
    const isFull = !isShown && shown.length >= MOST_SHOWN;
    const button = element("button", { type: "button", "data-key": tier, "aria-pressed": `${isShown}`, disabled: isFull }, tier);
    button.addEventListener("click", () => show(isShown ? shown.filter((each) => each !== tier) : [...shown, tier]));
    return button;
  });
  redraw(box, element("span", { class: "quiet" }, `${shown.length} of ${tiers.length} tiers shown, at most ${MOST_SHOWN}:`), ...buttons);
}

function showEnvironment(fields) {
  if (fields.environment !== environment) return;
  byId("lease").replaceChildren(...leaseText(fields.lease));
  situation.showLease(fields.lease);
  setTiers(fields.tiers);
}

function showTier(fields, isWhole) {
  lastChange = performance.now();
  setLive(true);
  let card = cards.get(fields.tier);
  if (!card) {
    card = new TierCard(fields.tier, byId("hint"), openNode, (words) => announcer.say(fields.tier, `${fields.tier}: ${words}.`));
    cards.set(fields.tier, card);
    if (cards.size === 1) byId("tiers").replaceChildren();
    arrange();
  }
  card.update(fields, isWhole);
  const open = panel.shown;
  if (open?.tier === fields.tier && fields.nodes.some(([node]) => node === open.node)) panel.open(open.tier, open.node);
}

function showSituation(fields) {
  situation.show(fields);
  arrange();
}

// Moves only the cards that are out of order, and leaves the focus where it is.
function arrange() {
  const box = byId("tiers");
  const held = document.activeElement;
  const { order } = situation;
  const known = [...order, ...shown.filter((tier) => !order.includes(tier))];
  known
    .filter((tier) => cards.has(tier))
    .forEach((tier, at) => {
      const { root } = cards.get(tier);
      if (box.children[at] !== root) box.insertBefore(root, box.children[at] ?? null);
    });
  if (held !== document.activeElement) held.focus({ preventScroll: true });
}

function openNode(tier, node) {
  cards.forEach((card, name) => card.map.select(name === tier ? node : null));
  panel.open(tier, node);
}

function leavePanel(tier, node) {
  cards.forEach((card) => card.map.select(null));
  cards.get(tier)?.map.focus(node);
}

function showTrouble(message) {
  const box = byId("trouble");
  if (box.textContent !== message) box.textContent = message;
  box.hidden = message === "";
  if (message) setLive(false);
  else if (cards.size) setLive(true);
}

function setLive(isLive) {
  const box = byId("live");
  box.dataset.live = isLive ? "yes" : "no";
  box.textContent = isLive ? "live" : "not live";
}

function drawLegend() {
  const entries = [...STANDINGS].map(([name, { glyph, words }]) =>
    element("li", {}, element("span", { class: "swatch", "data-standing": name, "aria-hidden": "true" }, glyph), words),
  );
  const ring = element("span", { class: "swatch canary", "data-standing": "unassigned", "aria-hidden": "true" });
  byId("legend").replaceChildren(...entries, element("li", {}, ring, "canary (framed)"));
}
