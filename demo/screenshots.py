"""`python -m demo.screenshots`: make the pictures of the rollout board in docs/ anew."""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from playwright.async_api import Error, Page

from airflow_provider_chefconsul.consul.acquisition import acquire
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.report import RunError, Status
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.testing.consul_agent import AgentError
from demo.cluster import ClusterError
from demo.consul_binary import ConsulNotFoundError
from demo.live_board import BoardError, LiveBoard, open_board
from demo.scene import Scene
from demo.standalone import AirflowError

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_FULL = RunError(
    "Errno::ENOSPC",
    "No space left on device @ io_writev - /srv/web/releases/2.5.0/index.html",
    "file[/srv/web/releases/2.5.0/index.html]",
)
_REFUSED = RunError("Mixlib::ShellOut::ShellCommandFailed", "Expected process to exit with [0], but received '1'")


async def _shop(live: LiveBoard) -> Scene:
    """Three tiers in mid-rollout: the database is done, the application goes on, the web tier has a canary."""
    scene = Scene(live.view, "shop")
    tiers = {
        "app": [f"app-{number}" for number in range(1, 9)],
        "db": ["db-1", "db-2"],
        "web": [f"web-{number}" for number in range(1, 13)],
    }
    for tier, nodes in tiers.items():
        await scene.add_nodes(tier, nodes, absent=("web-12",))
        await scene.declare(tier, "off")
        await scene.declare(tier, "converged", release="2.4.0")
        await scene.report(tier, *nodes)
    await acquire(
        live.view,
        "shop",
        DagRun.of(scene.writer),
        ttl=timedelta(minutes=15),
        reason="release 2.5.0",
        until=datetime.now(UTC),
    )
    await scene.declare("db", "converged", release="2.5.0")
    await scene.declare("app", "waiting", release="2.5.0")
    await scene.declare("app", "converged", release="2.5.0")
    await scene.declare("web", "converged", Wave.parse(4), release="2.5.0")
    await asyncio.sleep(1.5)
    await scene.report("db", "db-1")
    for number in range(1, 6):
        await asyncio.sleep(0.7)
        await scene.report("app", f"app-{number}")
    await scene.report("db", "db-2")
    await scene.report("app", "app-6", "app-7", status=Status.RUNNING, finished_at=None)
    return scene


async def _wave(scene: Scene) -> list[str]:
    """The canary's nodes, in order."""
    desired = (await scene.view.read(scene.environment, "web")).required_desired("web")
    nodes = [f"web-{number}" for number in range(1, 12)]
    return [node for node in nodes if desired.canary is not None and desired.canary.has_node(node)]


async def _fleet(live: LiveBoard) -> None:
    """A thousand nodes, most of which have the new release."""
    scene = Scene(live.view, "fleet")
    chance = random.Random(5)  # noqa: S311 the same picture each time
    nodes = [f"edge-{number}" for number in range(1, 1001)]
    await scene.add_nodes("edge", nodes)
    await scene.declare("edge", "converged", release="2.4.0")
    await scene.report("edge", *nodes)
    await scene.declare("edge", "converged", Wave.parse("70%"), release="2.5.0")
    desired = (await live.view.read("fleet", "edge")).required_desired("edge")
    covered = [node for node in nodes if desired.canary is not None and desired.canary.has_node(node)]
    chance.shuffle(covered)
    for start in range(0, 540, 45):
        await scene.report("edge", *covered[start : start + 45])
        await asyncio.sleep(0.25)
    await scene.report("edge", *covered[540:640], status=Status.RUNNING, finished_at=None)
    await scene.fail("edge", *covered[640:643], error=_FULL)


async def _take(page: Page, name: str) -> None:
    await page.mouse.move(640, 2)
    await asyncio.sleep(1)
    await page.screenshot(path=_DOCS / name)
    size = (_DOCS / name).stat().st_size
    print(f"docs/{name}: {size / 1024:.0f} KB")


async def main() -> None:
    """Play the scenes and take the pictures."""
    async with open_board() as live:
        scene = await _shop(live)
        wave = await _wave(scene)
        await scene.report("web", wave[0])
        await scene.report("web", wave[1], wave[2], status=Status.RUNNING, finished_at=None)
        themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for theme in themes:
            async with live.page(theme=theme) as page:
                await page.goto(f"{live.airflow.url}/plugin/rollout-board")
                await page.frame_locator("iframe").locator(".cell").last.wait_for()
                await _take(page, f"board-{theme}.png")
        await scene.fail("web", wave[1], error=_FULL)
        await scene.fail("web", wave[2], error=_REFUSED)
        board = f"{live.airflow.url}/chefconsul/"
        async with live.page() as page:
            await page.goto(f"{board}?environment=shop")
            await page.locator(f'.cell[data-node="{wave[1]}"]').click()
            await page.locator("#panel pre").wait_for()
            await _take(page, "board-failed-wave.png")
        await _fleet(live)
        async with live.page() as page:
            await page.goto(f"{board}?environment=fleet")
            await page.locator(".cell").nth(999).wait_for()
            await _take(page, "board-1000-nodes.png")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (BoardError, AirflowError, ClusterError, AgentError, ConsulNotFoundError, ChefConsulError, Error) as failure:
        sys.exit(f"No pictures were taken: {failure}")
