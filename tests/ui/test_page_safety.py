"""The board in Chromium: what hostile input does, and who may not see it."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.model.report import MESSAGE_LIMIT, RunError
from tests.ui.browser import Board

pytestmark = pytest.mark.asyncio(loop_scope="package")  # that of the browser


async def test_a_hostile_report_does_nothing(board: Board):
    """Markup, control characters and 2,000 characters are text, and stay in their place."""
    page = board.page
    attack = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'
    message = (f"{attack}\x1b[2J\u202egnp.exe\x00" + "A" * MESSAGE_LIMIT)[:MESSAGE_LIMIT]
    hostile = RunError(attack, message, attack)
    await board.scene.fail("web", "web-2", error=hostile, run_id=attack, client=attack, source=attack)
    await board.scene.declare("web", "converged", evil=attack)
    await board.scene.fail("web", "web-2", error=hostile, run_id=attack, client=attack, source=attack)
    await board.open()
    await board.until_standing("web-2", "failed")
    await board.cell("web-2").click()
    shown = await page.locator("#panel pre").inner_text()
    assert shown.startswith(attack)
    assert "\\x1b[2J\\u202egnp.exe\\x00AAAA" in shown
    assert len(shown) > MESSAGE_LIMIT
    await page.locator(".notes").get_by_text(attack, exact=False).wait_for()
    assert await page.locator("img, body script, iframe, object").count() == 0
    assert await page.evaluate("window.harmed") is None
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all(address.startswith(f"{board.address}/chefconsul/") for address in board.requests)
    assert board.errors == []


async def test_nothing_of_a_spoilt_view_is_trusted(board: Board, consul_kv):
    """A report and a desired state that are no documents are told; the other tiers go on."""
    page = board.page
    consul_kv["demo/web/nodes/web-1"] = "<b>no</b>"
    consul_kv["demo/db/desired"] = "<b>no</b>"
    await board.open()
    await board.until_standing("web-1", "malformed_report")
    await page.locator('[data-tier="db"] .obstacle').get_by_text("not JSON").wait_for()
    await page.get_by_text("7 of 8 in place", exact=True).wait_for()
    assert await page.locator("main b").count() == 0


@pytest.mark.parametrize("user", ["vera", None], ids=["viewer", "nobody"])
async def test_who_may_not_see_gets_nothing(board: Board, airflow, user):
    """The page says why, and holds no data; neither do the answers."""
    page = board.page
    await board.become(airflow.token_of(user) if user else None)
    answers = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 Playwright marks what it calls
    await board.open()
    words = "You may not see this" if user else "You are not signed in to Airflow"
    await page.get_by_role("alert").get_by_text(words).wait_for()
    assert await page.locator(".cell, .tier").count() == 0
    told = [await answer.text() for answer in answers if "/api/" in answer.url]
    assert told
    assert set(told) == ({'{"detail":"Forbidden"}'} if user else {'{"detail":"Not authenticated"}'})


async def test_who_loses_the_permission_loses_the_page(board: Board, airflow):
    """When the stream has ended and the page comes again, it is refused and forgets what it showed."""
    page = board.page
    await board.open()
    await board.until_standing("web-1", "converged")
    await board.become(airflow.token_of("vera"))
    # Hiding the page and showing it again connects anew, as the end of a stream does.
    await page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange')); delete document.hidden;"
        "document.dispatchEvent(new Event('visibilitychange')); }"
    )
    await page.get_by_role("alert").get_by_text("You may not see this").wait_for()
    assert await page.locator(".cell, .tier").count() == 0
