"""`airflow chefconsul status --watch` in this process: its output as a tier changes."""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from airflow_provider_chefconsul.cli.display.follow import StatusFollower
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.freeze import Freeze, make_freeze_entry
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from airflow_provider_chefconsul.exceptions import AccessDenied
from tests.support.factory import (
    NOW,
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_lease,
    make_report,
    make_snapshot,
    make_writer,
)
from tests.support.peer import Answer, Peer, forward_to
from tests.support.relay import Relay


@pytest.fixture
def watching(cluster, consul_root, capsys):
    """Watches environment demo inside a block; gives its output line by line."""

    @asynccontextmanager
    async def watch(*, output="table", port=None, tiers=("web",), missing="", **args):
        lines: list[str] = []

        async def until(has_come: Callable[[list[str]], bool]) -> list[str]:
            async with asyncio.timeout(30):
                while not has_come(lines):
                    await asyncio.sleep(0.02)
                    captured = capsys.readouterr()
                    lines.extend(captured.out.splitlines() + captured.err.splitlines())
                    if task.done():
                        await task
            return lines

        settings = ConsulSettings("127.0.0.1", port or cluster.http_port, root=consul_root)
        async with ConsulClient(settings, retry_for=timedelta(seconds=0.2)) as client:
            options = Namespace(**{"environment": "demo", "tier": None, "members": "service", "all": False} | args)
            printed = Output(is_json=output == "json")
            task = asyncio.create_task(StatusFollower(SharedView(client), options, printed, missing=missing).run(tiers))
            try:
                yield until
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError, AccessDenied):
                    await task

    return watch


def ends(words: str) -> Callable[[list[str]], bool]:
    """Whether a line ends like this."""
    return lambda lines: any(line.endswith(words) for line in lines)


async def test_line_for_each_change(watching, consul_kv, members):
    """A write, a report, a node that joins: one line each, with the time in front."""
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    async with watching() as until:
        lines = await until(ends("demo/web web-1: not reported: has never reported"))
        assert lines[0][8:].startswith(" demo/web: assigned generation 7, state converged, ")
        consul_kv["demo/web/nodes/web-1"] = make_report().to_json()
        await until(ends("demo/web: assigned generation 7, state converged, release=2.5.0; 1 of 1 members converged"))
        members("web-2")
        await until(ends("demo/web web-2: not reported: has never reported"))
        consul_kv["demo/web/desired"] = make_desired(8).to_json()
        await until(lambda found: any("web web-1: last ran generation 7 (succeeded" in line for line in found))


async def test_many_tiers(watching, cluster, consul_kv):
    """Forty are watched at once, on a few connections."""
    tiers = [f"tier{number}" for number in range(40)]
    for tier in tiers:
        consul_kv[f"demo/{tier}/desired"] = make_desired(7).to_json()
    async with Relay(cluster.http_port) as relay, watching(tiers=tiers, port=relay.port) as until:
        await until(lambda lines: all(any(f"demo/{tier}: assigned " in line for line in lines) for tier in tiers))
    assert relay.peak <= 20


async def test_tier_that_is_declared_meanwhile(watching, consul_kv, members, monkeypatch):
    """If no tier is named, new ones are watched, too."""
    monkeypatch.setattr("airflow_provider_chefconsul.cli.display.follow._LOOK_AROUND", 0.05)
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    async with watching() as until:
        await until(ends("has never reported"))
        consul_kv["demo/db/desired"] = make_desired(3).to_json()
        await until(lambda lines: any("demo/db: assigned generation 3" in line for line in lines))


async def test_freeze(watching, consul_kv, members, monkeypatch):
    """One that stands, its end, one that begins meanwhile, and one that ends by itself: a line each, and no other."""
    monkeypatch.setattr("airflow_provider_chefconsul.cli.display.follow._LOOK_AROUND", 0.05)
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/_freeze"] = Freeze({"web": make_freeze_entry(make_writer(), "evening", None, now=NOW)}).to_json()
    async with watching() as until:
        await until(ends(": evening; to end that: chefconsul unfreeze demo web"))
        await until(ends("has never reported"))
        del consul_kv["demo/_freeze"]
        await until(ends("demo/web: no longer frozen"))
        now = datetime.now(UTC)
        short = make_freeze_entry(make_writer(), "lunch", now + timedelta(seconds=2), now=now)
        consul_kv["demo/_freeze"] = Freeze({"*": short}).to_json()
        await until(ends(": lunch; to end that: chefconsul unfreeze demo '*'"))
        lines = await until(lambda found: sum(line.endswith("demo/web: no longer frozen") for line in found) == 2)
        assert len(lines) == 6


@pytest.mark.parametrize("tier", [None, "web"])
async def test_nothing_is_declared_yet(watching, consul_kv, members, monkeypatch, tier):
    """The output says how to declare a tier; the watch continues once someone has."""
    monkeypatch.setattr("airflow_provider_chefconsul.cli.display.follow._LOOK_FOR_FIRST", 0.05)
    members("web-1")
    async with watching(tiers=[tier] if tier else [], tier=tier, missing="nothing is declared") as until:
        await until(ends(" nothing is declared; waiting for it"))
        consul_kv["demo/web/desired"] = make_desired(7).to_json()
        await until(ends("demo/web web-1: not reported: has never reported"))


async def test_outage_before_anything_is_declared(watching, cluster, consul_kv, monkeypatch):
    """It is reported once and survived, although no tier is watched yet."""
    monkeypatch.setattr("airflow_provider_chefconsul.cli.display.follow._LOOK_FOR_FIRST", 0.05)
    is_away = True
    forward = forward_to(cluster.http_port)

    def answer(request):
        return Answer(500, "No cluster leader") if is_away else forward(request)

    with Peer(answer) as peer:
        async with watching(port=peer.port, tiers=[], missing="nothing is declared") as until:
            await until(ends("trying again"))
            is_away = False
            consul_kv["demo/web/desired"] = make_desired(8).to_json()
            lines = await until(lambda found: any("assigned generation 8" in line for line in found))
            assert sum(line.endswith("trying again") for line in lines) == 1


def test_screen_says_what_is_missing():
    """Until something is declared."""
    output = Output()
    options = Namespace(environment="demo", all=False)
    watch = StatusFollower(cast("SharedView", None), options, output, missing="nothing is declared")

    def draw() -> str:
        with output.console.capture() as drawn:
            output.console.print(watch.screen(NOW))
        return drawn.get()

    assert "nothing is declared" in draw()
    watch.statuses["web"] = tier_status(make_snapshot())
    assert "nothing is declared" not in draw()


async def test_json_lines(watching, consul_kv, members):
    """One object per line, in the shape of a tier of `status --output json`."""
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    async with watching(output="json") as until:
        (first,) = map(json.loads, await until(bool))
        assert (first["environment"], first["tier"], first["converged"]) == ("demo", "web", False)
        assert {"at", "headline", "obstacles", "desired", "problem", "counts", "nodes"} <= set(first)
        consul_kv["demo/web/nodes/web-1"] = make_report().to_json()
        lines = await until(lambda found: len(found) == 2)
        assert json.loads(lines[1])["converged"] is True


def test_ages_on_the_screen_grow():
    """Everything is worded afresh at each drawing, even if nothing has changed."""
    output = Output()
    options = Namespace(environment="demo", all=False)
    watch = StatusFollower(cast("SharedView", None), options, output)  # drawing asks nobody
    status = tier_status(make_snapshot(make_failure()))
    watch.statuses["web"], watch.lease = status, make_lease()

    def draw(seconds: int) -> str:
        with output.console.capture() as drawn:
            output.console.print(watch.screen(NOW + timedelta(seconds=seconds)))
        return drawn.get()

    assert "task web.set, 5 seconds ago" in draw(5)
    later = draw(120)
    assert "task web.set, 2 minutes ago" in later
    assert "acquired 2 minutes ago" in later
    assert "5 seconds" not in later


def test_who_left_a_canary_is_forgotten_when_somebody_has_moved_the_tier():
    """Orphans are looked for now and then, and the tier is followed: the two need not be of the same moment."""
    watch = StatusFollower(cast("SharedView", None), Namespace(environment="demo", all=False), Output())
    canary = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    run = DagRun.of(canary.written_by)
    watch.orphans = {"web": RunEnd(run, RunFate.FAILED)}
    assert watch.show("web", tier_status(make_snapshot(desired=canary)), NOW).orphan is not None
    for moved in (make_desired(8), replace(canary, written_by=make_writer(run_id="manual__9"))):
        assert watch.show("web", tier_status(make_snapshot(desired=moved)), NOW).orphan is None


@pytest.mark.parametrize("output", ["table", "json"])
async def test_outage_is_reported_once_and_survived(watching, cluster, consul_kv, members, output):
    """One line when Consul goes away; then the changes made meanwhile are shown."""
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    is_away = False
    forward = forward_to(cluster.http_port)

    def answer(request):
        return Answer(500, "No cluster leader") if is_away else forward(request)

    with Peer(answer) as peer:
        async with watching(port=peer.port, output=output) as until:
            await until(bool)
            is_away = True
            consul_kv["demo/web/nodes/web-1"] = make_report().to_json()  # answers the query that is under way
            lines = await until(ends("trying again"))
            is_away = False
            consul_kv["demo/web/desired"] = make_desired(8).to_json()
            await until(lambda found: any("assigned generation 8" in line for line in found))
            assert sum(line.endswith("trying again") for line in lines) == 1


async def test_error_ends_the_watch(watching, cluster, consul_kv):
    """An error that a retry would not fix is raised."""
    forward = forward_to(cluster.http_port)

    def answer(request):
        return Answer(403, "Permission denied") if "/v1/health" in request.path else forward(request)

    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    with Peer(answer) as peer:
        async with watching(port=peer.port) as until:
            with pytest.raises(AccessDenied):
                await until(lambda _: False)
