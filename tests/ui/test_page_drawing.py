"""What the board draws, in Chromium: the curve, the focus, and lists that scroll."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_chefconsul.domain.model.report import RunError
from airflow_provider_chefconsul.domain.write.wave import Wave
from tests.ui.browser import Board

pytestmark = pytest.mark.asyncio(loop_scope="package")  # that of the browser

CURVE = """
() => {
  const path = document.querySelector(".plot .line").getAttribute("d");
  const steps = [...path.matchAll(/H([\\d.]+)V([\\d.]+)/g)].map((step) => step.slice(1).map(Number));
  const all = Number(document.querySelector(".plot .all").getAttribute("y1"));
  const label = document.querySelector(".curve .most");
  return {
    last: steps.at(-1),
    all,
    label: label.textContent,
    labelBottom: label.getBoundingClientRect().bottom,
    plotTop: document.querySelector(".plot").getBoundingClientRect().top,
  };
}
"""


async def test_the_level_that_a_curve_reached_is_seen(board: Board):
    """Also when all nodes were done at once; and what the line means is written beside it, not on it."""
    page = board.page
    finished = (datetime.now(UTC) + timedelta(seconds=10)).isoformat()
    await board.scene.report("web", *[f"web-{number}" for number in range(1, 9)], finished_at=finished)
    await board.open()
    await page.get_by_text("8 of 8 in place", exact=True).wait_for()
    curve = await page.evaluate(CURVE)
    x, y = curve["last"]
    assert x < 300 * 0.95
    assert y == curve["all"]
    assert curve["label"] == "all: 8"
    assert curve["labelBottom"] <= curve["plotTop"]


async def test_a_click_on_a_count_shows_where_it_led(board: Board):
    """The node that has the focus is framed, also when a script gave it, and an absent one."""
    page = board.page
    await board.scene.fail("web", "web-6", error=RunError("Errno::ENOSPC", "No space left on device"))
    await board.open()
    await page.get_by_role("button", name="1 failed").click()
    assert await page.evaluate("document.activeElement.dataset.node") == "web-6"
    outline = "getComputedStyle(document.activeElement).outline"
    assert "solid 3px" in await page.evaluate(outline)
    await page.evaluate("document.activeElement.dataset.standing = 'absent'")
    assert "solid 3px" in await page.evaluate(outline)


async def test_an_error_is_shown_whole(board: Board):
    """On a small laptop, too, where the panel is shorter than what it holds."""
    page = board.page
    await page.set_viewport_size({"width": 1280, "height": 720})
    error = RunError("Errno::ENOSPC", "No space left on device @ io_writev - /srv/web/releases/2.5.0/x.html", "file[x]")
    await board.scene.fail("web", "web-6", error=error)
    await board.open()
    await board.cell("web-6").click()
    pre = page.locator("#panel pre")
    await pre.wait_for()
    assert await pre.evaluate("each => each.scrollHeight <= each.clientHeight")
    bottom = await pre.evaluate("each => each.getBoundingClientRect().bottom")
    assert bottom < 720


async def test_what_is_assigned_has_one_word(board: Board):
    """The card and the panel say the same: "assigned", and with a canary out, which of the two."""
    page = board.page
    await board.open()
    await board.cell("web-2").click()
    panel = page.locator("#panel .kind")
    await panel.wait_for()
    assert await panel.inner_text() == await page.locator(".overview .kind").inner_text() == "assigned"
    await board.scene.declare("web", "converged", canary=Wave.parse(("web-3",)), release="2.5.0")
    await page.locator("#panel").get_by_text("stable", exact=True).wait_for()
    assert await page.locator(".overview .kind").all_inner_texts() == ["stable", "canary"]
    await board.cell("web-3").click()
    await page.locator("#panel").get_by_text("canary", exact=True).wait_for()


async def test_a_list_of_states_says_that_there_are_more(board: Board):
    """By a fade, which ends where the list does; the keyboard scrolls it."""
    page = board.page
    await board.open()
    await page.locator(".timeline li").wait_for()
    assert await page.locator(".timeline.more").count() == 0
    for number in range(5, 9):
        await board.scene.declare("web", "converged", release=f"2.{number}.0")
    await page.locator(".timeline li").nth(4).wait_for()
    await page.locator(".timeline.more").wait_for()
    assert "gradient" in await page.evaluate(
        "getComputedStyle(document.querySelector('.timeline'), '::after').backgroundImage"
    )
    await page.get_by_role("list", name="States of web").focus()
    await page.keyboard.press("End")
    await page.locator(".timeline.more").wait_for(state="detached")
    assert board.errors == []
