"""The board's buttons in Chromium: planned, given a reason, confirmed; and what another site can do."""

from __future__ import annotations

import json

import pytest

from airflow_provider_chefconsul.consul.freeze import find_freeze
from airflow_provider_chefconsul.domain.write.wave import Wave
from tests.support.factory import make_lease
from tests.ui.browser import Board

pytestmark = pytest.mark.asyncio(loop_scope="package")  # that of the browser

# A page beside the board, on another port: Airflow's cookie comes along with what it sends.
EVIL = "http://127.0.0.1:9/"
FORM = """<form method="post" enctype="text/plain" action="{action}"><input name='{{"reason":"x","seen":0,"until":"'
 value='"}}'></form><script>document.forms[0].submit()</script>"""


async def test_a_canary_is_promoted(board: Board):
    """What would be done is said first; without a reason nothing is; then the journal says who did it and why."""
    page = board.page
    await board.scene.declare("web", "converged", Wave.parse(("web-3", "web-4")), release="2.5.0")
    await board.open()
    await page.locator('.tier[data-tier="web"]').get_by_role("button", name="Promote").click()
    dialog = page.get_by_role("dialog", name="Promote demo/web")
    await dialog.get_by_text("6 of 8 nodes change: web-1, web-2, web-5").wait_for()
    confirm = dialog.get_by_role("button", name="Promote")
    assert await confirm.is_disabled()
    await dialog.get_by_label("Reason").fill("looks good")
    await confirm.click()
    await dialog.wait_for(state="detached")
    newest = page.locator('#journal li:first-child[data-act="promoted"]')
    await newest.get_by_text("looks good").wait_for()
    assert "by otto 20" in await newest.inner_text()
    assert await page.locator(".assignment .value").all_inner_texts() == ["release=2.5.0"]
    await page.locator('.tier[data-tier="web"]').get_by_role("button", name="Roll back").wait_for()
    assert await page.get_by_role("button", name="Promote").count() == 0
    assert board.errors == []


async def test_a_rollout_is_aborted(board: Board):
    """Its line says who did it, and why."""
    page = board.page
    await board.scene.declare("web", "converged", Wave.parse(("web-3", "web-4")), release="2.5.0")
    await board.open()
    await page.locator('.tier[data-tier="web"]').get_by_role("button", name="Abort").click()
    await page.get_by_role("dialog").get_by_label("Reason").fill("too slow")
    await page.get_by_role("dialog").get_by_role("button", name="Abort").click()
    line = page.locator('#rollouts [data-tier="web"][data-status="aborted"]')
    await line.get_by_text("too slow by otto 20").wait_for()
    assert "converged 2.5.0" in await line.inner_text()
    assert "aborted, now converged 2.4.0" in await line.inner_text()


async def test_an_environment_is_frozen_and_unfrozen(board: Board):
    """All of it; the page says who froze it and why."""
    page = board.page
    await board.open()
    await page.locator("#acts").get_by_role("button", name="Freeze").click()
    dialog = page.get_by_role("dialog", name="Freeze demo")
    await dialog.get_by_label("Reason").fill("release party")
    await dialog.get_by_label("Until").fill("2099-01-01T00:00")
    await dialog.get_by_role("button", name="Freeze").click()
    frozen = page.locator("#freeze")
    await frozen.get_by_text("release party").wait_for()
    assert "all tiers" in await frozen.inner_text()
    await page.locator('.tier[data-tier="web"] .badge.frozen').wait_for()
    found = (await find_freeze(board.scene.view, "demo")).freeze
    assert (found.entries["*"].until or "").startswith(("2098-12-31", "2099-01-01"))
    await page.locator("#acts").get_by_role("button", name="Unfreeze").click()
    await page.get_by_role("dialog").get_by_label("Reason").fill("over")
    await page.get_by_role("dialog").get_by_role("button", name="Unfreeze").click()
    await frozen.wait_for(state="hidden")
    assert board.errors == []


async def test_what_is_refused_is_said(board: Board, consul_kv):
    """In a sentence, and nothing can be confirmed; Escape leads back."""
    page = board.page
    await board.open()
    await page.locator('.tier[data-tier="web"]').get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("no earlier generation is known on which the whole tier converged").wait_for()
    await dialog.get_by_label("Reason").fill("too slow")
    assert await dialog.get_by_role("button", name="Roll back").is_disabled()
    await page.keyboard.press("Escape")
    await dialog.wait_for(state="detached")
    consul_kv["demo/_lease"] = make_lease().to_json()
    await page.locator("#acts").get_by_role("button", name="Break lease").click()
    await dialog.get_by_text("held by Dag shop_rollout").wait_for()
    await dialog.get_by_label("Reason").fill("its worker burned")
    consul_kv["demo/_lease"] = make_lease(expires_at="2026-11-22T08:09:00Z").to_json()
    await dialog.get_by_role("button", name="Break lease").click()
    await dialog.get_by_text("was renewed, released or taken over in the meantime").wait_for()
    assert "demo/_lease" in consul_kv


async def test_a_form_of_another_site_does_nothing(board: Board):
    """Though it sends JSON, and the browser sends the cookie with it."""
    page = board.page
    action = f"{board.address}/chefconsul/api/connections/{board.connection}/environments/demo/acts/freeze"
    await page.route(EVIL, lambda route: route.fulfill(content_type="text/html", body=FORM.format(action=action)))
    async with page.expect_response(action) as answer:
        await page.goto(EVIL)
    response = await answer.value
    sent = response.request
    assert "_token=" in (await sent.all_headers()).get("cookie", "")
    assert json.loads(sent.post_data or "")["reason"] == "x"
    assert response.status == 403
    assert (await find_freeze(board.scene.view, "demo")).freeze.entries == {}
