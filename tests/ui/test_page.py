"""The board in Chromium, inside of a real Airflow: what people see of a rollout."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_chefconsul.consul.write import steer
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.report import RunError, Status
from airflow_provider_chefconsul.domain.model.writer import COMMAND_LINE, Writer
from airflow_provider_chefconsul.domain.write.rollback import RollBack
from airflow_provider_chefconsul.domain.write.wave import Wave
from demo.scene import Scene
from tests.support.factory import make_lease
from tests.ui.browser import Board, look

pytestmark = pytest.mark.asyncio(loop_scope="package")  # that of the browser

FULL = RunError("Errno::ENOSPC", "No space left on device", "file[/srv/web/index.html]")

CONTRASTS = (Path(__file__).parent / "contrasts.js").read_text()


async def test_the_board_follows_a_rollout(board: Board, consul_kv):
    """From the declaration of a canary over runs and a failure to the end, without a reload."""
    page, scene = board.page, board.scene
    await board.open()
    await page.get_by_text("8 of 8 in place", exact=True).wait_for()
    consul_kv["demo/_lease"] = make_lease(holder=make_lease().holder.of(scene.writer)).to_json()
    await page.get_by_text("Lease held by Dag shop_rollout").wait_for()
    await scene.declare("web", "converged", canary=Wave.parse(("web-3", "web-4")), release="2.5.0")
    await board.until_standing("web-3", "old_generation")
    assert await page.locator(".cell.canary").evaluate_all("all => all.map((each) => each.dataset.node)") == [
        "web-3",
        "web-4",
    ]
    assert await page.locator(".assignment.canary .value").inner_text() == "release=2.5.0"
    await scene.report("web", "web-3", status=Status.RUNNING, finished_at=None)
    await board.until_standing("web-3", "running")
    await scene.fail("web", "web-3", error=FULL)
    await board.until_standing("web-3", "failed")
    await page.locator(".notes").get_by_text("failed converging generation 2").wait_for()
    await scene.report("web", "web-3", "web-4")
    await scene.declare("web", "converged", release="2.5.0")
    await scene.report("web", *[f"web-{number}" for number in range(1, 9)])
    await page.get_by_text("8 of 8 in place", exact=True).wait_for()
    assert await page.locator(".notes li").count() == 0
    assert await page.locator(".timeline li").first.inner_text() != ""
    assert await page.locator(".curve svg").get_attribute("aria-label") is not None
    announced = page.locator("#announcer").get_by_text("web: 8 of 8 in place")
    await announced.wait_for(state="attached")
    assert await page.locator("#live").inner_text() == "live"
    assert board.errors == []


async def test_what_was_done_is_told(board: Board):
    """Who did what, when and why, newest first, without a reload; the Dag run is a link."""
    page, scene = board.page, board.scene
    await board.open()
    entries = page.locator("#journal li")
    await entries.get_by_text("web: declared generation 1, state converged, release=2.4.0").wait_for()
    link = entries.first.get_by_role("link", name="shop_rollout, scheduled__2026")
    assert (await link.get_attribute("href") or "").startswith("../dags/shop_rollout/runs/scheduled__2026-11-22T08%3A")
    ada = Writer(COMMAND_LINE, "ada@vm 2026-11-22T08:01:00.000Z", "rollback")
    await scene.declare("web", "converged", Wave.parse(2), release="2.5.0")
    await steer(scene.view, "demo", ["web"], RollBack(ada, reason="too slow"))
    newest = page.locator('#journal li:first-child[data-act="rolled_back"]')
    await newest.get_by_text("too slow").wait_for()
    text = await newest.inner_text()
    assert "rolled back to generation 1" in text
    assert "by airflow chefconsul rollback, ada@vm" in text
    assert " s ago" in text
    assert board.errors == []


async def test_a_failed_node_explains_itself(board: Board):
    """A click says what failed, when, and who can act; the panel follows the node, and Escape leads back."""
    page = board.page
    await board.scene.fail("web", "web-2", error=FULL)
    await board.open()
    await board.cell("web-2").click()
    panel = page.locator("#panel")
    await panel.get_by_text("failed converging generation 1").wait_for()
    text = await panel.inner_text()
    assert "What to do: fix the node, then run chef-client on it" in text
    assert "Errno::ENOSPC" in text
    assert "in file[/srv/web/index.html]" in text
    assert "No space left on device" in await panel.locator("pre").inner_text()
    await board.scene.report("web", "web-2")
    await panel.get_by_text("converged on generation 1").wait_for()
    await panel.press("Escape")
    await panel.wait_for(state="hidden")
    assert await page.evaluate("document.activeElement.dataset.node") == "web-2"
    assert board.errors == []


async def test_ages_go_on(board: Board):
    """On the card and in the panel, while nothing changes and without a new stream."""
    page = board.page
    await board.scene.fail("web", "web-2", error=FULL)
    await board.open()
    await board.cell("web-2").click()
    await page.locator("#panel pre").wait_for()
    await page.evaluate("window.pre = document.querySelector('#panel pre')")
    for place in (".notes .text", "#panel .standing + .text"):
        before = await page.locator(place).inner_text()
        assert " ago: " in before
        await page.wait_for_function(
            "([place, before]) => document.querySelector(place).textContent !== before", arg=[place, before]
        )
        assert "failed converging generation 1" in await page.locator(place).inner_text()
    assert await page.evaluate("window.pre.isConnected")  # so that a selection in it stays
    assert sum("/events?" in address for address in board.requests) == 1
    assert board.errors == []


async def test_the_board_can_be_used_by_keyboard(board: Board):
    """One tab stop for all nodes, arrows among them, Enter to open; each has a name that says where it stands."""
    page = board.page
    await board.scene.fail("web", "web-6", error=FULL)
    await board.open()
    await board.until_standing("web-6", "failed")
    assert await page.locator('.cell[tabindex="0"]').count() == 1
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.classList.contains('cell')"):
            break

    async def current():
        return await page.evaluate("document.activeElement.dataset.node")

    assert await current() == "web-1"
    columns = await page.evaluate(
        "getComputedStyle(document.querySelector('.cells')).gridTemplateColumns.split(' ').length"
    )
    assert 1 < columns < 8
    for key, node in [
        ("ArrowLeft", 1), ("ArrowRight", 2), ("ArrowDown", 2 + columns), ("ArrowUp", 2), ("End", 8), ("Home", 1),
    ]:  # fmt: skip
        await page.keyboard.press(key)
        assert await current() == f"web-{min(node, 8)}", key
    await page.get_by_role("button", name="1 failed").focus()
    await page.keyboard.press("Enter")
    assert await current() == "web-6"
    option = page.get_by_role(
        "option", name="web-6: failed, assigned generation 1 converged, reports failed generation 1"
    )
    await page.keyboard.press("Enter")
    panel = page.get_by_role("complementary", name="Node")
    await panel.get_by_text("failed converging").wait_for()
    assert await option.get_attribute("aria-selected") == "true"
    await page.keyboard.press("Escape")
    assert await current() == "web-6"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_can_be_read(board: Board, scheme):
    """A contrast of 4.5 at least in both themes, of the cells, too; and no two standings have one glyph."""
    page = board.page
    await page.emulate_media(color_scheme=scheme)
    await board.scene.fail("web", "web-2", error=FULL)
    await board.scene.declare("web", "converged", canary=Wave.parse(("web-3",)), release="2.5.0")
    await board.scene.declare("db", "off")
    await board.open()
    await board.until_standing("web-2", "failed")
    await board.cell("web-2").click()
    await page.locator("#panel pre").wait_for()
    contrasts = await page.evaluate(CONTRASTS)
    assert len(contrasts) > 40
    assert [each for each in contrasts if each[1] < 4.5] == []
    glyphs = await page.locator("#legend .swatch:not(.canary)").all_inner_texts()
    assert len(set(glyphs)) == len(glyphs) == 13
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(246, 247, 249)") == (scheme == "light")


async def test_a_consul_that_is_away_is_told_and_comes_back(browser, airflow, make_cluster):
    """The page says so, keeps what it showed, and goes on by itself."""
    cluster = make_cluster(in_memory=False)
    async with look(browser, airflow, cluster.http_port, "chefconsul") as board:
        await board.scene.add_nodes("web", ["web-1"])
        await board.scene.declare("web", "converged", release="2.4.0")
        await board.open()
        await board.until_standing("web-1", "not_reported")
        cluster.server.kill()
        await board.page.get_by_role("alert").get_by_text("Consul is not available").wait_for()
        assert await board.page.locator("#live").inner_text() == "not live"
        assert await board.cell("web-1").count() == 1
        cluster.server.start()
        cluster.wait_until_ready()
        await board.scene.report("web", "web-1")
        await board.until_standing("web-1", "converged")
        await board.page.get_by_role("alert").wait_for(state="hidden")


async def test_an_airflow_that_is_away_is_told_and_comes_back(board: Board):
    """What the page said is gone once it is live again."""
    await board.page.route("**/events?*", lambda route: route.abort())
    await board.open()
    await board.page.get_by_role("alert").get_by_text("Airflow does not answer").wait_for()
    await board.page.unroute("**/events?*")
    await board.until_standing("web-1", "converged")
    await board.page.get_by_role("alert").wait_for(state="hidden")


async def test_an_environment_without_tiers_is_followed(board: Board, consul_kv):
    """Such as one that a rollout holds and has not written to yet."""
    consul_kv["new/_lease"] = make_lease(holder=DagRun.of(board.scene.writer)).to_json()
    await board.open(environment="new")
    await board.page.get_by_text("new has no tiers yet").wait_for()
    await replace(board.scene, environment="new").declare("web", "converged")
    await board.until_standing("web-1", "not_reported")


async def test_a_consul_in_which_nothing_is_declared_is_no_failure(board: Board, consul_kv):
    """It answers, and the page says what to do, until something is there."""
    for key in list(consul_kv):
        del consul_kv[key]
    await board.open()
    await board.page.get_by_text("nothing is declared in it yet").wait_for()
    assert await board.page.locator("#live").inner_text() == "live"
    await board.scene.declare("web", "converged")
    await board.until_standing("web-1", "not_reported")


async def test_a_consul_that_was_never_there_is_said(browser, airflow, free_port):
    """With the connection to look at; nothing is loading."""
    async with look(browser, airflow, free_port, "chefconsul") as board:
        await board.open()
        await board.page.get_by_role("alert").get_by_text("Consul is not available: ").wait_for()
        await board.page.get_by_role("alert").get_by_text(f"look at the connection {board.connection}").wait_for()
        assert await board.page.get_by_text("Loading").count() == 0
        assert await board.page.locator("#live").inner_text() == "not live"


async def test_changes_leave_the_focus_where_it_is(board: Board):
    """Whatever they draw anew."""
    page = board.page
    await board.open()
    await page.get_by_role("button", name="8 in place").focus()
    await board.scene.fail("web", "web-2", error=FULL)
    await board.until_standing("web-2", "failed")
    assert await page.evaluate("document.activeElement.textContent") == "√7 in place"
    await board.cell("web-1").click()
    panel = page.get_by_role("complementary", name="Node")
    await panel.get_by_role("button", name="Close").focus()
    await board.scene.fail("web", "web-1", error=FULL)
    await panel.get_by_text("failed converging").wait_for()
    assert await page.evaluate("document.activeElement.ariaLabel") == "Close"
    await page.keyboard.press("Escape")
    await panel.wait_for(state="hidden")


async def test_an_unknown_environment_is_told(board: Board):
    """And what there is, is shown."""
    page = board.page
    told = page.get_by_role("alert").get_by_text("There is no environment nowhere")
    await board.open(environment="nowhere")
    await board.until_standing("web-1", "converged")
    await told.wait_for()
    await page.locator('[data-environment="demo"]').click()
    await told.wait_for(state="hidden")


@pytest.mark.parametrize("is_storage_forbidden", [False, True], ids=["remembered", "forbidden"])
async def test_the_chosen_environment_is_there_again(board: Board, is_storage_forbidden):
    """When the page comes anew without an environment in its address; a browser may forbid to remember."""
    page = board.page
    await Scene(board.scene.view, "zoo").declare("web", "off")  # the last in the list
    if is_storage_forbidden:
        await page.add_init_script(
            "Object.defineProperty(window, 'localStorage',"
            " { get() { throw new DOMException('no', 'SecurityError'); } })"
        )
    await board.open()
    await page.locator('[data-environment="demo"][aria-current="true"]').wait_for()
    await page.locator('[data-environment="zoo"]').click()
    await page.locator('[data-environment="zoo"][aria-current="true"]').wait_for()
    await board.open()
    expected = "demo" if is_storage_forbidden else "zoo"
    await page.locator(f'[data-environment="{expected}"][aria-current="true"]').wait_for()
    assert board.errors == []


async def test_a_dag_run_leads_to_its_environment(browser, airflow, cluster, consul_kv, consul_root, members):
    """Inside of Airflow, in its theme: the run's view shows the environment that it wrote, and follows it."""
    airflow.add_connection(
        "consul_default", conn_type="consul", host="127.0.0.1", port=cluster.http_port,
        extra=json.dumps({"prefix": consul_root}),
    )  # fmt: skip
    members("web-1", "web-2")
    run_id = airflow.trigger("board_rollout", {"release": "3.1.0"})
    async with look(browser, airflow, cluster.http_port, consul_root, "shop", color_scheme="light") as board:
        page = board.page
        await Scene(board.scene.view, "another").declare("web", "off")  # the first in the list
        async with asyncio.timeout(180):
            while "shop/web/desired" not in consul_kv:  # noqa: ASYNC110 Airflow writes it
                await asyncio.sleep(0.1)
        await page.add_init_script("localStorage.setItem('theme', 'dark')")
        await page.goto(f"{board.address}/dags/board_rollout/runs/{run_id}/plugin/rollout-board-of-run")
        frame = page.frame_locator("iframe")
        await frame.locator('[data-environment="shop"][aria-current="true"]').get_by_text("this run").wait_for()
        await frame.locator(".timeline").get_by_role("link", name="board_rollout").wait_for()
        await board.scene.report("web", "web-1", "web-2")
        await frame.get_by_text("2 of 2 in place", exact=True).wait_for()
        assert await frame.locator(".value").first.inner_text() == "release=3.1.0"
        assert await frame.locator("html").get_attribute("data-theme") == "dark"
        await page.goto(f"{board.address}/plugin/rollout-board")
        await page.frame_locator("iframe").locator('[data-environment="another"][aria-current="true"]').wait_for()
        await frame.locator('[data-environment="another"]').click()
        await page.goto(f"{board.address}/dags/board_rollout/runs/{run_id}/plugin/rollout-board-of-run")
        await frame.locator('[data-environment="shop"][aria-current="true"]').get_by_text("this run").wait_for()
        await frame.locator("#journal").get_by_role("link", name="board_rollout").last.click()
        await page.wait_for_url(f"{board.address}/dags/board_rollout/runs/{run_id}")  # out of the frame
        task = f"/dags/board_rollout/dagRuns/{run_id}/taskInstances/set"
        async with asyncio.timeout(180):
            while not (links := airflow.request("GET", f"{task}/links")["extra_links"])["Rollout board"]:  # noqa: ASYNC110 the task has not ended
                await asyncio.sleep(0.5)
        assert list(links) == ["Rollout board", "State in Consul"]
        await page.goto(f"{board.address}/{links['Rollout board']}")
        await page.locator('[data-environment="shop"][aria-current="true"]').get_by_text("this run").wait_for()
