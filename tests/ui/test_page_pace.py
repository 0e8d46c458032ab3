"""The board in Chromium, of a tier with slots: its pace, who is inside, and who holds the others up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.consul.slots import free
from airflow_provider_chefconsul.domain.write.pacing import parse_pacing
from airflow_provider_chefconsul.domain.write.wave import Wave
from tests.support.factory import make_writer
from tests.ui.browser import Board

pytestmark = pytest.mark.asyncio(loop_scope="package")  # that of the browser

NODES = [f"web-{number}" for number in range(1, 9)]
TWO = parse_pacing(2, None, timedelta(minutes=10))


async def test_a_tier_with_slots_says_who_is_inside(board: Board):
    """How many at a time, who, and how many wait, as it goes on; nothing once all are in place."""
    page, scene = board.page, board.scene
    pace = page.locator('[data-tier="web"] .pace')
    await board.open()
    await page.get_by_text("8 of 8 in place", exact=True).wait_for()
    assert await pace.inner_text() == ""
    await scene.declare("web", "converged", release="2.5.0", pacing=TWO)
    await pace.get_by_text("2 at a time, spread over 10 minutes", exact=True).wait_for()
    await scene.queue("web", "web-1", "web-3", held_for=timedelta(seconds=4))
    await scene.queue("web", "web-2", "web-4", "web-5", "web-6")
    line = "2 at a time, spread over 10 minutes; in: web-1, web-3; 4 wait"
    await pace.get_by_text(line, exact=True).wait_for()
    assert await pace.locator(".stuck").count() == 0
    await scene.report("web", "web-1")
    await scene.give_back("web", "web-1")
    await pace.get_by_text("in: web-3; 4 wait").wait_for()
    await scene.report("web", *NODES)
    await page.get_by_text("8 of 8 in place", exact=True).wait_for()
    assert await pace.inner_text() == ""  # though not all tickets are gone
    assert board.errors == []


async def test_a_holder_that_does_not_converge_is_named(board: Board, members):
    """For how long, and as `explain` says it: one that died, one that failed; until a person frees the slot."""
    page, scene = board.page, board.scene
    await scene.declare("web", "converged", release="2.5.0", pacing=TWO)
    await scene.queue("web", "web-3", held_for=timedelta(minutes=14))
    await scene.queue("web", "web-4", held_for=timedelta(seconds=3), is_failed=True)
    await scene.queue("web", "web-5")
    members("web-3", check="critical")
    await board.open()
    pace, stuck = page.locator(".pace"), page.locator(".pace .stuck")
    await pace.get_by_text("web-3 holds a slot for 14 minutes; its agent is not alive", exact=True).wait_for()
    failed = pace.get_by_text("web-4 keeps a slot for ")
    before = await failed.inner_text()
    assert before.endswith(": its run failed, so it is the first to run again")
    await page.wait_for_function(
        "before => [...document.querySelectorAll('.stuck')].every((each) => each.textContent !== before)", arg=before
    )  # its age goes on while nothing else changes
    await free(scene.view, "demo", "web", "web-3", make_writer(), reason="its disk is gone")
    await pace.get_by_text("in: web-4; 1 waits").wait_for()
    assert await stuck.count() == 1
    entry = page.locator('#journal li[data-act="slot_freed"]')
    await entry.get_by_text("freed the slot of web-3 in web").wait_for()
    assert "its disk is gone" in await entry.inner_text()
    assert board.errors == []


async def test_beside_a_canary_each_part_of_the_tier_has_a_line(board: Board):
    """With those of its own nodes that are inside; a canary without slots hides nothing."""
    page, scene = board.page, board.scene
    await scene.declare("web", "converged", release="2.5.0", pacing=TWO)
    wave = Wave.parse(["web-1", "web-2", "web-3"])
    await scene.declare("web", "converged", wave, release="2.6.0")
    await scene.queue("web", "web-4", held_for=timedelta(minutes=14), is_failed=True)
    await scene.queue("web", "web-5")
    await board.open()
    lines, stuck = page.locator(".pace p:not(.stuck)"), page.locator(".pace .stuck")
    stable = "stable: 2 at a time, spread over 10 minutes; in: web-4; 1 waits"
    await page.get_by_text(stable, exact=True).wait_for()
    assert await lines.count() == 1
    assert (await stuck.inner_text()).startswith("web-4 keeps a slot for 14 minutes: its run failed")
    await scene.declare("web", "converged", wave, pacing=parse_pacing(1), release="2.6.0")
    await scene.queue("web", "web-1", held_for=timedelta(seconds=4))
    await scene.queue("web", "web-2", "web-3")
    await page.get_by_text("canary: 1 at a time; in: web-1; 2 wait", exact=True).wait_for()
    assert await lines.all_inner_texts() == [stable, "canary: 1 at a time; in: web-1; 2 wait"]
    assert await stuck.count() == 1
    assert board.errors == []


async def test_a_hostile_ticket_does_nothing(board: Board, consul_kv):
    """Under a name that no node can have it is none; what a spoilt one holds is not told."""
    page, scene = board.page, board.scene
    attack, longest = '<img src=x onerror="window.harmed=1">', "A" * 128
    await scene.declare("web", "converged", release="2.5.0", pacing=TWO)
    consul_kv[f"demo/web/_slots/{attack}"] = "<b>secret</b>"
    consul_kv[f"demo/web/_slots/{longest}"] = attack
    await board.open()
    pace = page.locator(".pace")
    await pace.get_by_text(f"{longest} has a ticket that cannot be read").wait_for()
    await pace.get_by_text(f"in: {longest}").wait_for()
    assert "onerror" not in await page.locator("main").inner_text()
    assert "secret" not in await page.locator("main").inner_text()
    assert await page.locator("img, main b").count() == 0
    assert await page.evaluate("window.harmed") is None
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert board.errors == []
