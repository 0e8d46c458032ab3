"""The board in Chromium where it could look better than it is: rollouts that were stopped, rollbacks, slow nodes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_chefconsul.consul.write import steer
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalWave
from airflow_provider_chefconsul.domain.model.report import RunError, Status
from airflow_provider_chefconsul.domain.write.rollback import RollBack
from airflow_provider_chefconsul.domain.write.wave import Wave
from tests.ui.browser import Board

pytestmark = pytest.mark.asyncio(loop_scope="package")  # that of the browser

FULL = RunError("Errno::ENOSPC", "No space left on device")
RUN = "../dags/shop_rollout/runs/scheduled__2026-11-22T08%3A00%3A00%2B00%3A00"
# The part of WGL4, which all systems' fonts have, that Windows-1252 lacks: arrows, box drawing, shapes, mathematics.
WGL4 = frozenset("←↑→↓↔↕↨│║═■□▪▫▲►▼◄◊○●◘◙◦−√∞≈≠≤≥")  # noqa: RUF001


def is_everywhere(character: str) -> bool:
    """Whether no symbol font is needed for a character."""
    return bool(character.encode("cp1252", "ignore")) or character in WGL4


async def test_a_stopped_rollout_says_by_what_and_leads_there(board: Board):
    """A gate that failed does not look like one that is being waited for; its task is a click away."""
    page, scene = board.page, board.scene
    await scene.declare("web", "converged", Wave.parse(("web-3",)), wave=(1, 2), release="2.5.0")
    await scene.report("web", "web-3")
    await scene.judge("web", wave=JournalWave("1", 1, 2))
    await board.open()
    line = page.locator('#rollouts [data-tier="web"]')
    await line.get_by_text("waits for the next wave").wait_for()
    gate = replace(scene, writer=replace(scene.writer, task_id="web.gate_2.error_rate", map_index=1))
    await gate.answer("web", JournalAct.GATE_FAILED, JournalWave("100%", 2, 2), "0.04 is not < 0.01")
    await line.get_by_text("its gate failed").wait_for()
    await line.get_by_text("What to do: clear the gate's task to ask again, or promote or abort").wait_for()
    task = line.get_by_role("link", name="web.gate_2.error_rate[1]")
    assert await task.get_attribute("href") == f"{RUN}/tasks/web.gate_2.error_rate/mapped/1"
    await page.locator('.tier[data-tier="web"]').get_by_text("stopped before its next wave").wait_for()
    assert board.errors == []


async def test_a_rollback_ends_when_the_nodes_are_back(board: Board):
    """Until then the line names those that are not, and those that failed on the way."""
    page, scene = board.page, board.scene
    await scene.declare("web", "converged", Wave.parse(("web-3", "web-4")), release="2.5.0")
    await scene.report("web", "web-3", "web-4")
    back = RollBack(replace(scene.writer, task_id="web.roll_back"), reason="loses sessions")
    await steer(scene.view, "demo", ["web"], back)
    await board.open()
    line = page.locator('#rollouts [data-tier="web"]')
    await line.get_by_text("going back to converged 2.4.0").wait_for()
    await line.get_by_text("waits for 2 of 8 nodes (web-3, web-4)").wait_for()
    await scene.fail("web", "web-4", error=FULL)
    await line.get_by_text("the rollback to converged 2.4.0 failed").wait_for()
    await line.get_by_text("waits for 2 of 8 nodes (web-4 failed, web-3)").wait_for()
    await scene.report("web", "web-3", "web-4")
    await line.get_by_text("rolled back, now converged 2.4.0").wait_for()
    assert await line.locator("time").get_attribute("data-past") is not None
    assert board.errors == []


async def test_a_node_leads_to_its_task(board: Board):
    """Where its log is, and the button that clears it."""
    await board.scene.fail("web", "web-6", error=FULL)
    await board.open()
    await board.cell("web-6").click()
    link = board.page.locator("#panel").get_by_role("link", name="web_converged.set")
    assert await link.get_attribute("href") == f"{RUN}/tasks/web_converged.set"
    assert board.errors == []


async def test_a_run_that_takes_long_is_seen(board: Board):
    """The others took seconds: the tier asks for a person, and names the node and how long it has been running."""
    begun = (datetime.now(UTC) - timedelta(minutes=12)).isoformat()
    card = board.page.locator('.tier[data-tier="web"]')
    await board.scene.declare("web", "converged", release="2.5.0")
    await board.scene.report("web", *[f"web-{number}" for number in range(1, 8)])
    await board.scene.report("web", "web-8", status=Status.RUNNING, started_at=begun, finished_at=None)
    await board.open()
    await card.get_by_text("takes long").wait_for()
    await card.locator(".notes").get_by_text("running generation 2 for 12 minutes").wait_for()
    assert await card.locator(".notes .node").inner_text() == "web-8"
    assert " s, since " in await board.page.locator("#rollouts time").inner_text()
    assert board.errors == []


async def test_no_glyph_needs_a_symbol_font(board: Board):
    """Neither a standing's nor any other character that the page itself writes."""
    await board.scene.fail("web", "web-6", error=FULL)
    await board.open()
    await board.cell("web-6").click()
    await board.page.locator("#panel .close").wait_for()
    glyphs: Any = await board.page.locator("#legend .swatch").all_inner_texts()
    assert len([each for each in glyphs if each]) == len({each for each in glyphs if each}) == 13
    text = await board.page.locator("body").inner_text()
    assert [each for each in text if not is_everywhere(each)] == []
