"""The rollout board in Chromium: from a write in Consul to the page, and what it costs the page."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from playwright.async_api import Page
from rich.console import Console
from rich.table import Table

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from demo.live_board import LiveBoard, open_board
from demo.scene import Scene

DEFAULT_JSON = Path("build/benchmarks/board.json")
_TARGET = 1000  # nodes; Consul alone takes a quarter of a second of a core to tell of 10,000
_PAUSE = 0.02  # seconds between two nodes that report
# Notes when each cell changed, and how long each event of the stream occupied the page.
_WATCH = """() => {
  window.changed = new Map();
  window.busy = [];
  new MutationObserver((records) => {
    for (const { target } of records) window.changed.set(target.dataset.node, Date.now());
  }).observe(document.querySelector(".cells"), { attributes: true, attributeFilter: ["data-standing"], subtree: true });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.busy.push(entry.duration);
  }).observe({ type: "longtask" });
}"""


async def measure_rollout(live: LiveBoard, size: int) -> dict[str, float]:
    """A tier of that size rolls out, one node after the other; each has its own time from the write to its cell."""
    scene = Scene(live.view, f"bench{size}")
    tier = f"tier{size}"
    nodes = [f"{tier}-{number}" for number in range(size)]
    await scene.add_nodes(tier, nodes)
    await scene.declare(tier, "converged", release="1")
    await scene.report(tier, *nodes)
    async with live.page() as page:
        first = await _first_paint(live, page, scene, size)
        await scene.declare(tier, "converged", release="2")
        await page.locator(f'.cell[data-standing="old_generation"] >> nth={size - 1}').wait_for(state="attached")
        await page.evaluate(_WATCH)
        cost = await page.context.new_cdp_session(page)
        await cost.send("Performance.enable")
        before = await _task_seconds(cost)
        some = nodes[:1000]
        written = await _report_one_by_one(scene, tier, some)
        await page.locator(f'.cell[data-standing="converged"] >> nth={len(some) - 1}').wait_for(state="attached")
        seen = dict(await page.evaluate("[...window.changed]"))
        busy = await _task_seconds(cost) - before
        longest = max([0.0, *await page.evaluate("window.busy")])
    delays = sorted(seen[node] - written[node] for node in some)
    return {
        "nodes": size,
        **first,
        "write to cell, p50 (ms)": round(statistics.median(delays)),
        "write to cell, p95 (ms)": round(delays[round(0.95 * len(delays)) - 1]),
        "write to cell, longest (ms)": round(delays[-1]),
        "page's main thread per changed node (ms)": round(busy * 1000 / len(some), 2),
        "longest task of the page (ms), 0: none above 50": round(longest),
    }


async def _first_paint(live: LiveBoard, page: Page, scene: Scene, size: int) -> dict[str, float]:
    began = time.monotonic()
    await page.goto(f"{live.airflow.url}/chefconsul/?environment={scene.environment}")
    await page.locator(".cell").nth(size - 1).wait_for(state="attached")
    await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    seconds = time.monotonic() - began
    address = f"{live.airflow.url}/chefconsul/api/connections/consul_default/environments/{scene.environment}/events"
    document = await page.evaluate(
        """(address) => new Promise((resolve) => {
          const source = new EventSource(address);
          source.addEventListener("tier", (event) => { source.close(); resolve(event.data.length); });
        })""",
        f"{address}?tier=tier{size}",
    )
    return {"open to drawn (ms)": round(seconds * 1000), "whole document (KB)": round(document / 1024)}


async def _report_one_by_one(scene: Scene, tier: str, nodes: Sequence[str]) -> dict[str, float]:
    desired = (await scene.view.read(scene.environment, tier)).required_desired(tier)
    written = {}
    for node in nodes:
        report = NodeReport(
            node, tier, desired.generation, "converged", Status.SUCCEEDED, "run",
            "2026-11-22T08:00:01Z", "2026-11-22T08:00:09Z",
        )  # fmt: skip
        key = scene.view.keys.report(scene.environment, tier, node)
        await scene.view.client.transact([Operation.set_key(key, report.to_json())])
        written[node] = time.time() * 1000
        await asyncio.sleep(_PAUSE)
    return written


async def _task_seconds(session: object) -> float:
    metrics = await session.send("Performance.getMetrics")  # type: ignore[attr-defined]
    return float(next(each["value"] for each in metrics["metrics"] if each["name"] == "TaskDuration"))


async def measure(sizes: Sequence[int]) -> list[dict[str, float]]:
    """All figures."""
    async with open_board() as live:
        return [await measure_rollout(live, size) for size in sizes]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 0 when nodes that change are shown within a second, in a tier of a thousand."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000], help="members of the tier")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file to write the figures to")
    options = parser.parse_args(arguments)
    figures = asyncio.run(measure(options.sizes))
    table = Table(title="Rollout board")
    table.add_column("")
    for figure in figures:
        table.add_column(f"{figure['nodes']:,} nodes", justify="right")
    for name in list(figures[0])[1:]:
        table.add_row(name, *(f"{figure[name]:g}" for figure in figures))
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if all(figure["write to cell, p95 (ms)"] < 1000 for figure in figures if figure["nodes"] <= _TARGET) else 1


if __name__ == "__main__":
    sys.exit(main())
