"""The board in Chromium, from the rollout's side: what is going on, what a tier is and was, and which one is amiss."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_provider_chefconsul.consul.freeze import freeze
from airflow_provider_chefconsul.domain.model.freeze import make_freeze_entry
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalWave
from airflow_provider_chefconsul.domain.model.report import RunError
from airflow_provider_chefconsul.domain.write.wave import Wave
from tests.ui.browser import Board

pytestmark = pytest.mark.asyncio(loop_scope="package")  # that of the browser

NODES = [f"web-{number}" for number in range(1, 9)]


async def test_what_is_going_on_is_said_at_the_top(board: Board):
    """From the wave that waits over its failure to the freeze, and the tier that needs a person comes first."""
    page, scene = board.page, board.scene
    await scene.declare("db", "off")
    await board.open()
    await page.locator('[data-tier="db"].tier').wait_for()
    await scene.declare("web", "converged", Wave.parse(("web-3", "web-4")), release="2.5.0")
    line = page.locator('#rollouts [data-tier="web"]')
    await line.get_by_text("waits for 2 of 2 nodes (web-3, web-4)").wait_for()
    assert await line.get_by_role("link", name="shop_rollout").count() == 1
    await scene.report("web", "web-3", "web-4")
    await scene.judge("web", wave=JournalWave("2", 1, 2))
    await line.get_by_text("the canary is in place").wait_for()
    entry = make_freeze_entry(scene.writer, "checkout is slow", None, now=datetime.now(UTC))
    await freeze(scene.view, "demo", ["web"], entry)
    await line.get_by_text("waits for the end of the freeze").wait_for()
    await page.locator('.tier[data-tier="web"]').get_by_text("frozen in the middle of a rollout").wait_for()
    await scene.fail("web", "web-3", error=RunError("Errno::ENOSPC", "No space left on device"))
    await scene.judge("web", JournalAct.FAILED, JournalWave("2", 1, 2), "1 failed (web-3)")
    await page.locator('#rollouts [data-status="failed"]').get_by_text("1 failed (web-3)").wait_for()
    await page.locator('.tier[data-tier="web"]').get_by_text("nodes failed").wait_for()
    assert board.errors == []


async def test_the_tier_that_needs_a_person_comes_first(board: Board):
    """Also on a phone, without a reload; and the focus stays where it is."""
    page, scene = board.page, board.scene
    await scene.declare("app", "converged", release="2.4.0")
    await scene.add_nodes("app", ["app-1"])
    await scene.report("app", "app-1")
    await page.set_viewport_size({"width": 390, "height": 844})
    await board.open()
    tiers = "[...document.querySelectorAll('.tier')].map((each) => each.dataset.tier).join()"
    await page.wait_for_function(f"() => {tiers} === 'app,web'")
    await board.cell("app-1").focus()
    await scene.fail("web", "web-2", error=RunError("Errno::ENOSPC", "No space left on device"))
    await page.wait_for_function(f"() => {tiers} === 'web,app'")
    assert await page.evaluate("document.activeElement.dataset.node") == "app-1"
    top = await page.locator('.tier[data-tier="web"]').evaluate("each => each.getBoundingClientRect().top + scrollY")
    assert top < 844 / 2
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.locator("footer").evaluate("each => getComputedStyle(each).position") == "static"


async def test_a_rollout_whose_dag_run_is_no_longer_there_is_orphaned(board: Board):
    """Airflow knows the Dag, and not its run; a Dag of another Airflow's is none of its business."""
    page = board.page
    gone = replace(board.scene, writer=replace(board.scene.writer, dag_id="board_rollout", run_id="manual__gone"))
    await gone.declare("web", "converged", Wave.parse(("web-3",)), wave=(1, 3), release="2.5.0")
    await board.open()
    line = page.locator('#rollouts [data-status="orphaned"]')
    await line.get_by_text("What to do: its Dag run is not in this Airflow, or no longer, and left").wait_for()
    await page.locator('.tier[data-tier="web"]').get_by_text("orphaned in the middle of a rollout").wait_for()
    assert board.errors == []


async def test_a_tier_that_is_off_does_not_look_healthy(board: Board):
    """Though all its nodes are in place: it says what it last served, and its nodes are hollow."""
    page, scene = board.page, board.scene
    await scene.judge("web")
    later = replace(scene, writer=replace(scene.writer, run_id="manual__2"))
    await later.declare("web", "off")
    await scene.report("web", *NODES)
    await later.judge("web")
    await board.open()
    card = page.locator('.tier[data-tier="web"]')
    await card.get_by_text("8 of 8 in place", exact=True).wait_for()
    await card.get_by_text("last served converged 2.4.0").wait_for()
    assert await card.locator(".lead .content").inner_text() == "off"
    assert "before: converged 2.4.0, for " in await card.locator(".lead").inner_text()
    background = "each => getComputedStyle(each).backgroundColor"
    assert await board.cell("web-1").evaluate(background) == await card.evaluate(background)
    assert board.errors == []
