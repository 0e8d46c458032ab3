"""`python -m demo.situations [DIRECTORY]`: take pictures of the board in each situation, to look at them cold.

Without a directory, those of docs/board.md; with one, also of further situations, and in the dark.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from playwright.async_api import Error

from airflow_provider_chefconsul.consul.freeze import freeze
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import steer
from airflow_provider_chefconsul.domain.model.freeze import make_freeze_entry
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalWave
from airflow_provider_chefconsul.domain.model.report import RunError, Status, WaitsFor
from airflow_provider_chefconsul.domain.model.writer import BOARD, Writer
from airflow_provider_chefconsul.domain.write.pacing import parse_pacing
from airflow_provider_chefconsul.domain.write.rollback import RollBack
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.testing.consul_agent import AgentError
from demo.cluster import ClusterError
from demo.consul_binary import ConsulNotFoundError
from demo.live_board import BoardError, LiveBoard, open_board
from demo.scene import Scene
from demo.standalone import AirflowError

_DOCS = Path(__file__).resolve().parent.parent / "docs" / "situations"
_SIZES = ((1920, 1080), (1280, 720), (390, 844))
Theme = Literal["light", "dark"]
_ENVIRONMENT = "shop"
_TIERS = {"app": 8, "db": 2, "web": 12}
_FIRST, _SECOND = JournalWave("4", 1, 3), JournalWave("50%", 2, 3)
_FULL = RunError("Errno::ENOSPC", "No space left on device", "file[/srv/web/index.html]")
_ADA = Writer(BOARD, "ada 2026-11-22T08:00:00.000Z", "freeze")


async def _begin(scene: Scene) -> list[str]:
    """The first of three waves of the web tier; its nodes."""
    await scene.declare("web", "converged", Wave.parse(4), (1, 3), release="2.5.0")
    desired = (await scene.view.read(scene.environment, "web")).required_desired("web")
    return [node for node in _nodes("web") if desired.canary is not None and desired.canary.has_node(node)]


async def _play_quiet(_: Scene) -> None:
    """Nothing goes on."""


async def _play_going_on(scene: Scene) -> None:
    """A wave is on its way."""
    wave = await _begin(scene)
    await scene.report("web", *wave[:2])
    await scene.report("web", wave[2], status=Status.RUNNING, finished_at=None)


async def _play_between(scene: Scene) -> None:
    """A wave is there, and an approval may hold the next one up."""
    await scene.report("web", *await _begin(scene))
    await scene.judge("web", wave=_FIRST)


async def _play_failed(scene: Scene) -> None:
    """A wave failed."""
    wave = await _begin(scene)
    await scene.report("web", *wave[:2])
    await scene.fail("web", wave[2], error=_FULL)
    await scene.judge("web", JournalAct.FAILED, _FIRST, f"1 failed ({wave[2]}), more than max_failed=0")


async def _play_rolled_back(scene: Scene) -> None:
    """A wave failed and was rolled back."""
    await scene.report("web", *await _roll_back(scene))


async def _roll_back(scene: Scene) -> list[str]:
    """Roll a failed wave back, as its Dag does; the nodes that have to go back."""
    await _play_failed(scene)
    desired = (await scene.view.read(scene.environment, "web")).required_desired("web")
    wave = [node for node in _nodes("web") if desired.canary is not None and desired.canary.has_node(node)]
    by = replace(scene.writer, task_id="web_converged.revert.roll_back")
    why = f"auto_revert: 1 failed ({wave[2]}), more than max_failed=0"
    await steer(scene.view, scene.environment, ["web"], RollBack(by, reason=why))
    return wave


async def _play_rollback_failed(scene: Scene) -> None:
    """A wave failed, and one of its nodes does not get back either."""
    back = await _roll_back(scene)
    await scene.report("web", *back[:2])
    await scene.fail("web", back[2], error=_FULL)


async def _play_gate_failed(scene: Scene) -> None:
    """A wave is there, and the gate before the next one failed."""
    await _play_between(scene)
    by = replace(scene, writer=replace(scene.writer, task_id="web_converged.gate_2.error_rate"))
    reason = "1 of 5 measurements failed: 0.04 is not < 0.01"
    await by.answer("web", JournalAct.GATE_FAILED, _SECOND, reason)


async def _play_rejected(scene: Scene) -> None:
    """A wave is there, and somebody rejected the next one."""
    await _play_between(scene)
    by = replace(scene, writer=replace(scene.writer, task_id="web_converged.approve_2"))
    await by.answer("web", JournalAct.REJECTED, _SECOND, "by ada")


async def _play_frozen(scene: Scene) -> None:
    """Somebody froze the tier between two waves."""
    await _play_between(scene)
    entry = make_freeze_entry(_ADA, "checkout is slow, looking into it", None, now=datetime.now(UTC))
    await freeze(scene.view, scene.environment, ["web"], entry)


async def _play_off(scene: Scene) -> None:
    """The shop is off, and the database that it waits for failed."""
    for tier in ("web", "app"):
        await scene.declare(tier, "off", release="2.4.0")
        await scene.report(tier, *_nodes(tier))
        await scene.judge(tier)
    await scene.declare("db", "converged", release="2.5.0")
    await scene.fail("db", "db-1", error=_FULL)
    await scene.judge("db", JournalAct.FAILED, reason="1 failed (db-1), more than max_failed=0")


async def _play_in_turn(scene: Scene) -> None:
    """Two nodes at a time, of which one died inside."""
    await scene.declare("app", "converged", pacing=parse_pacing(2), release="2.5.0")
    await scene.report("app", "app-1", "app-5")
    await scene.report("app", "app-2", "app-3", status=Status.RUNNING, finished_at=None)
    await scene.queue("app", "app-3", held_for=timedelta(minutes=14))
    await scene.queue("app", "app-2", held_for=timedelta(seconds=9))
    behind = ("app-4", "app-6", "app-7", "app-8")
    waits_for = WaitsFor(("app-2", "app-3"), 2, 2)
    await scene.report("app", *behind, status=Status.WAITING, finished_at=None, waits_for=waits_for)
    await scene.queue("app", *behind)
    await scene.add_nodes("app", ["app-3"], absent=["app-3"])


_SITUATIONS: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "quiet": _play_quiet,
    "going-on": _play_going_on,
    "between-waves": _play_between,
    "failed-wave": _play_failed,
    "rolled-back": _play_rolled_back,
    "frozen": _play_frozen,
}
_OTHERS = {"nothing-declared": ".empty", "consul-away": ".trouble:not([hidden])"}
_FURTHER: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "off": _play_off,
    "gate-failed": _play_gate_failed,
    "rejected": _play_rejected,
    "rollback-failed": _play_rollback_failed,
    "in-turn": _play_in_turn,
}


def _nodes(tier: str) -> list[str]:
    return [f"{tier}-{number}" for number in range(1, _TIERS[tier] + 1)]


async def _play(view: SharedView, name: str) -> None:
    """Play a situation, after an earlier Dag run brought release 2.4.0."""
    earlier = Scene(view, _ENVIRONMENT)
    earlier = replace(earlier, writer=replace(earlier.writer, run_id="scheduled__2026-11-21T08:00:00+00:00"))
    for tier in _TIERS:
        await earlier.add_nodes(tier, _nodes(tier))
        await earlier.declare(tier, "off")
        await earlier.declare(tier, "converged", release="2.4.0")
        await earlier.report(tier, *_nodes(tier))
        await earlier.judge(tier)
    await {**_SITUATIONS, **_FURTHER}[name](Scene(view, _ENVIRONMENT))


async def _take(live: LiveBoard, directory: Path, name: str, shown: str, themes: Sequence[Theme]) -> None:
    """Take a situation's pictures, once the page shows what it is known by."""
    for theme in themes:
        async with live.page(theme=theme) as page:
            for width, height in _SIZES:
                await page.set_viewport_size({"width": width, "height": height})
                await page.goto(f"{live.airflow.url}/chefconsul/?connection={_connection(name)}")
                await page.locator(shown).first.wait_for()
                await page.evaluate("document.fonts.ready")
                ending = "" if theme == "light" else f"-{theme}"
                await page.screenshot(path=directory / f"{name}-{width}{ending}.png")


def _connection(name: str) -> str:
    """The id of a situation's connection, which does not give away what there is to see."""
    return f"consul_{[*_OTHERS, *_SITUATIONS, *_FURTHER].index(name) + 1}"


async def main(directory: Path, *, is_all: bool) -> None:
    """Play the situations and take the pictures."""
    themes: tuple[Theme, ...] = ("light", "dark") if is_all else ("light",)
    async with open_board() as live:
        port = live.view.client.settings.port
        for name in [*_OTHERS, *_SITUATIONS, *(_FURTHER if is_all else ())]:
            is_away = name == "consul-away"
            live.airflow.add_connection(
                _connection(name),
                conn_type="consul",
                host="127.0.0.1",
                port=9 if is_away else port,
                extra=json.dumps({"prefix": name}),
            )
            if name not in _OTHERS:
                async with ConsulClient(ConsulSettings("127.0.0.1", port, root=name)) as client:
                    await _play(SharedView(client), name)
            await _take(live, directory, name, _OTHERS.get(name, "#rollouts li"), themes)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    pictures = Path(sys.argv[1]) if len(sys.argv) == 2 else _DOCS
    pictures.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(main(pictures, is_all=len(sys.argv) == 2))
    except (BoardError, AirflowError, ClusterError, AgentError, ConsulNotFoundError, ChefConsulError, Error) as failure:
        sys.exit(f"No pictures were taken: {failure}")
