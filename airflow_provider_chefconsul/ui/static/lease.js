// The lease, in words.

import { element } from "./element.js";
import { clock } from "./moment.js";

export function leaseText(lease) {
  if (!lease) return ["No lease: no Dag run holds the environment."];
  if (lease.problem) return [lease.problem];
  const holder = lease.dag_id === null ? "a Dag run that you may not see" : `Dag ${lease.dag_id}, run ${lease.run_id}`;
  const why = lease.reason ? `: ${lease.reason}` : "";
  const until = `since ${clock(lease.acquired_at)}${why} (renewed until ${clock(lease.expires_at)})`;
  return ["Lease held by ", element("strong", {}, holder), ` ${until}`];
}
