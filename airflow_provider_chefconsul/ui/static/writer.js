// Who wrote or did something, with a link to the page of the Dag run.

import { element } from "./element.js";

export function writerParts(writer) {
  if (!writer) return ["by a Dag run that you may not see"];
  if (writer.person) return [`by ${writer.person}`];
  const mapped = writer.map_index >= 0 ? `[${writer.map_index}]` : "";
  return ["by ", runLink(writer, `${writer.dag_id}, ${writer.run_id}`), `, ${writer.task_id}${mapped}`];
}

// Leads out of Airflow's frame, whose sandbox allows the page neither to open a window nor to leave.
export function runLink({ dag_id: dagId, run_id: runId }, text) {
  const address = `../dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(runId)}`;
  const link = element("a", { href: address, target: "_blank", rel: "noopener" }, text);
  link.addEventListener("click", (event) => {
    const page = airflowPage();
    if (!page) return;
    event.preventDefault();
    const isAside = event.ctrlKey || event.metaKey || event.shiftKey;
    const twin = page.createElement("a");
    Object.assign(twin, { href: link.href, target: isAside ? "_blank" : "_self", rel: "noopener" });
    page.body.append(twin);
    twin.click();
    twin.remove();
  });
  return link;
}

function airflowPage() {
  try {
    return window.parent === window ? null : window.parent.document;
  } catch {
    return null; // framed by another origin
  }
}
