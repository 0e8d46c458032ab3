// The page's requests. Addresses are relative, so that Airflow may be served below any path.

const asked = new URLSearchParams(location.search);

export const connection = asked.get("connection") || "consul_default";
export const dagId = asked.get("dag_id") || "";
export const runId = asked.get("run_id") || "";
export const askedEnvironment = asked.get("environment") || "";

const FORBIDDEN = "Forbidden"; // all that Airflow says of a missing permission

function address(path, parameters = []) {
  const query = new URLSearchParams(parameters);
  if (dagId) query.set("dag_id", dagId);
  const steps = ["connections", connection, ...path].map(encodeURIComponent).join("/");
  return `api/${steps}?${query}`;
}

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, parameters, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  const response = await fetch(address(path, parameters), { ...options, headers });
  if (response.ok) return response.json();
  const body = await response.json().catch(() => ({}));
  throw new Refused(response.status, explain(response.status, typeof body.detail === "string" ? body.detail : ""));
}

export function fetchEnvironments() {
  return ask(["environments"], runId ? [["run_id", runId]] : []);
}

export function fetchNode(environment, tier, node) {
  return ask(["environments", environment, "tiers", tier, "nodes", node]);
}

export function planAct(environment, act, body) {
  return post(["environments", environment, "acts", act, "plan"], body);
}

export function doAct(environment, act, body) {
  return post(["environments", environment, "acts", act], body);
}

// The header is one that no page of another site can send.
function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-Requested-With": "rollout-board" };
  return ask(path, [], { method: "POST", headers, body: JSON.stringify(body) });
}

export function eventsAddress(environment, tiers) {
  return address(
    ["environments", environment, "events"],
    tiers.map((tier) => ["tier", tier]),
  );
}

function explain(status, detail) {
  if (status === 401) return "You are not signed in to Airflow, or your session has ended. Sign in and reload this page.";
  if (status === 403 && detail !== FORBIDDEN) return detail;
  if (status === 403) {
    const dag = dagId ? `the Dag ${dagId}` : "Dags";
    return `You may not see this. It requires permission to read the connection ${connection} and ${dag}.`;
  }
  return detail || `Airflow answered with status ${status}.`;
}
