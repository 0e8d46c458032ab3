// Who wrote or did something, with links to the pages of the Dag run and of the task.

import { element } from "./element.js";

export function writerParts(writer) {
  if (!writer) return ["by a Dag run that you may not see"];
  if (writer.person) return [`by ${writer.person}`];
  return ["by ", runLink(writer, `${writer.dag_id}, ${writer.run_id}`), ", ", taskLink(writer, taskName(writer))];
}

export function taskName({ task_id: taskId, map_index: mapIndex }) {
  return mapIndex >= 0 ? `${taskId}[${mapIndex}]` : taskId;
}

export function runLink(writer, text) {
  return airflowLink(runAddress(writer), text);
}

// The page with the task's log and the button that clears it.
export function taskLink(writer, text) {
  const mapped = writer.map_index >= 0 ? `/mapped/${writer.map_index}` : "";
  return airflowLink(`${runAddress(writer)}/tasks/${encodeURIComponent(writer.task_id)}${mapped}`, text);
}

function runAddress({ dag_id: dagId, run_id: runId }) {
  return `../dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(runId)}`;
}

// Leads out of Airflow's frame, whose sandbox allows the page neither to open a window nor to leave.
function airflowLink(address, text) {
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
