"""The shared data view on a real Consul: read, watch, write."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Member, ServiceMembers
from airflow_provider_chefconsul.domain.write.decision import Unchanged, Write
from airflow_provider_chefconsul.exceptions import (
    ConsulUnavailable,
    MalformedDocument,
    NoDesiredState,
    RequestTooLarge,
    UnknownSchema,
    WriteRefused,
)
from tests.support.factory import make_change, make_desired, make_report, make_ticket, make_writer
from tests.support.peer import Answer, Peer, Request, forward_to

PATIENCE = 20  # seconds that a change may take to be noticed, on however slow a machine
WEB = ServiceMembers("web")


# Reading --------------------------------------------------------------------------------------------------------------


async def test_tier_that_nobody_wrote(view, consul_root):
    """No desired state and no reports; the error says how to declare one."""
    record = await view.read("demo", "web")
    assert (record.desired, record.evidence) == (None, {})
    with pytest.raises(NoDesiredState, match="demo/web has no desired state yet; a SetDesiredStateOperator"):
        record.required_desired("demo/web")


async def test_tier_is_read_whole_and_alone(view, consul_kv):
    """Its desired state and reports, without those of a tier with the same prefix, history or stray keys."""
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1").to_json()
    consul_kv["demo/web/nodes/web-2"] = make_report("web-2", generation=6).to_json()
    consul_kv["demo/web/nodes/_stray"] = "{"
    consul_kv["demo/web/nodes/web-3/more"] = "{"
    consul_kv["demo/web/locks/migrate"] = "{"
    consul_kv["demo/web-blue/desired"] = make_desired(3).to_json()
    consul_kv["demo/web-blue/nodes/web-9"] = make_report("web-9", tier="web-blue").to_json()
    consul_kv["demo/_history/web/000000000007"] = make_desired(7).to_json()
    record = await view.read("demo", "web")
    assert record.required_desired("demo/web") == make_desired(7)
    reports = {node: evidence.report for node, evidence in record.evidence.items()}
    assert reports == {"web-1": make_report("web-1"), "web-2": make_report("web-2", generation=6)}
    assert all(0 < evidence.modify_index <= record.index for evidence in record.evidence.values())


async def test_unreadable_documents_stop_nobody(view, consul_kv, consul_root):
    """Each becomes a value that names its key; the rest is read."""
    consul_kv["demo/web/desired"] = '{"schema": 2}'
    consul_kv["demo/web/nodes/web-1"] = "{"
    consul_kv["demo/web/nodes/web-2"] = make_report("web-1").to_json()
    consul_kv["demo/web/nodes/web-3"] = make_report("web-3", tier="app").to_json()
    consul_kv["demo/web/nodes/web-4"] = make_report("web-4").to_json()
    consul_kv["demo/web/nodes/web-5"] = ""
    record = await view.read("demo", "web")
    with pytest.raises(UnknownSchema, match=f"{consul_root}/demo/web/desired: schema 2 is unknown"):
        record.required_desired("demo/web")
    found = {node: str(evidence.report) for node, evidence in record.evidence.items()}
    assert found.pop("web-4") == str(make_report("web-4"))
    nodes = f"{consul_root}/demo/web/nodes"
    misplaced = "which does not belong under this key"
    assert found.pop("web-2") == f"{nodes}/web-2: is a report of node web-1 for tier web, {misplaced}"
    assert found.pop("web-3") == f"{nodes}/web-3: is a report of node web-3 for tier app, {misplaced}"
    assert {node: text.partition(" (")[0] for node, text in found.items()} == {
        "web-1": f"{nodes}/web-1: not JSON",
        "web-5": f"{nodes}/web-5: not JSON",
    }


async def test_snapshot_has_the_members(view, consul_kv, members):
    """Including those without a report; a node that reported but is no member is only evidence."""
    members("web-1", "web-2")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1").to_json()
    consul_kv["demo/web/nodes/web-9"] = make_report("web-9").to_json()
    snapshot = await view.snapshot("demo", "web", WEB)
    assert snapshot.desired == make_desired(7)
    assert snapshot.members == {"web-1": Member("web-1"), "web-2": Member("web-2")}
    assert set(snapshot.evidence) == {"web-1", "web-9"}


# Watching -------------------------------------------------------------------------------------------------------------


async def test_watch_sees_each_change(view, consul_kv, members):
    """A write, a report, a second report of the same node, a join and a death each give a new snapshot."""
    members("web-1")
    async with aclosing(view.watch("demo", "web", WEB)) as watch:

        async def see(is_seen) -> None:
            async with asyncio.timeout(PATIENCE):
                while not is_seen(await anext(watch)):
                    pass

        await see(lambda snapshot: snapshot.desired is None and set(snapshot.members) == {"web-1"})
        await write(view, "demo", {"web": make_change()})
        await see(lambda snapshot: snapshot.desired and snapshot.desired.generation == 1)
        for generation in (1, 2):
            consul_kv["demo/web/nodes/web-1"] = make_report(generation=generation).to_json()
            await see(
                lambda snapshot, generation=generation: (
                    "web-1" in snapshot.evidence and snapshot.evidence["web-1"].report.generation == generation
                )
            )
        members("web-2")
        await see(lambda snapshot: set(snapshot.members) == {"web-1", "web-2"})
        members("web-2", check="critical")
        await see(lambda snapshot: not snapshot.members["web-2"].is_present)
        del consul_kv["demo/web/nodes/web-1"]
        await see(lambda snapshot: snapshot.evidence == {})
        del consul_kv["demo/web/desired"]
        await see(lambda snapshot: snapshot.desired is None)


async def test_watch_sleeps_while_nothing_changes(view, consul_kv, members):
    """It ignores another tier's reports and members."""
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_report().to_json()
    async with aclosing(view.watch("demo", "web", WEB)) as watch:
        await anext(watch)
        waiting = asyncio.ensure_future(anext(watch))
        members("app-1", tier="app")
        consul_kv["demo/app/nodes/app-1"] = make_report("app-1", tier="app").to_json()
        await asyncio.wait({waiting}, timeout=0.5)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_tickets_wake_only_who_asks_for_them(view, consul_kv, members):
    """The board; not the waits, for which a line of thousands changes all the time."""
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_report().to_json()
    async with (
        aclosing(view.watch("demo", "web", WEB)) as plain,
        aclosing(view.watch("demo", "web", WEB, with_tickets=True)) as watch,
    ):
        await anext(plain)
        await anext(watch)
        waiting = asyncio.ensure_future(anext(plain))
        consul_kv["demo/web/_slots/web-1"] = make_ticket().to_json()
        async with asyncio.timeout(PATIENCE):
            assert (await anext(watch)).tickets == {"web-1": make_ticket()}
            del consul_kv["demo/web/_slots/web-1"]
            assert (await anext(watch)).tickets == {}
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_watch_that_is_closed_leaves_nothing(view, consul_kv, members):
    """Its queries end with it."""
    members("web-1")
    before = asyncio.all_tasks()
    async with aclosing(view.watch("demo", "web", WEB)) as watch:
        await anext(watch)
    assert asyncio.all_tasks() == before


async def test_watch_says_when_consul_is_away(free_port):
    """The watcher decides whether to continue."""
    async with ConsulClient(ConsulSettings("127.0.0.1", free_port), retry_for=timedelta(0)) as client:
        with pytest.raises(ConsulUnavailable, match="cannot be reached"):
            async with aclosing(SharedView(client).watch("demo", "web", WEB)) as watch:
                await anext(watch)


# Writing --------------------------------------------------------------------------------------------------------------


def history(kv) -> dict[int, DesiredState]:
    """All generations of tier web."""
    keys = [key for key in kv if key.startswith("demo/_history/web/")]
    return {int(key.rpartition("/")[2]): DesiredState.from_json(key, kv[key]) for key in keys}


async def test_write_and_its_history(view, consul_kv):
    """Each write is one generation, kept in the history as written; a write of the same content changes nothing."""
    change = make_change()
    first = (await write(view, "demo", {"web": change})).decisions["web"]
    assert isinstance(first, Write)
    assert consul_kv["demo/web/desired"] == consul_kv["demo/_history/web/000000000001"] == first.desired.to_json()
    assert first.desired.written_by == change.writer
    assert (await write(view, "demo", {"web": change})).decisions == {"web": Unchanged(1)}
    second = (await write(view, "demo", {"web": make_change(state="off", values={})})).decisions["web"]
    assert (await view.read("demo", "web")).desired == second.desired
    assert history(consul_kv) == {1: first.desired, 2: second.desired}


async def test_write_of_several_tiers_is_one(view, consul_kv):
    """All in one transaction, without unchanged tiers; one refusal leaves all tiers unchanged."""
    await write(view, "demo", {"app": make_change(state="off")})
    changes = {"web": make_change(state="off"), "app": make_change(state="off"), "db": make_change()}
    decisions = (await write(view, "demo", changes)).decisions
    assert {tier: decision.generation for tier, decision in decisions.items()} == {"web": 1, "app": 1, "db": 1}
    assert isinstance(decisions["app"], Unchanged)
    before = dict(consul_kv)
    with pytest.raises(WriteRefused, match="demo/db: state off is allowed from waiting, but the tier is in state conv"):
        await write(view, "demo", {"web": make_change(), "db": make_change(state="off", allowed_from=["waiting"])})
    assert dict(consul_kv) == before


@pytest.mark.parametrize("document", ["{", '{"schema": 2}', "null"])
async def test_unreadable_desired_state_is_not_replaced(view, consul_kv, document):
    """Nobody knows what would be lost."""
    consul_kv["demo/web/desired"] = document
    with pytest.raises(MalformedDocument, match="demo/web/desired"):
        await write(view, "demo", {"web": make_change(), "app": make_change()})
    assert dict(consul_kv) == {"demo/web/desired": document}


async def test_values_too_large_for_consul(view, consul_kv):
    """The error names the tiers, and nothing is written."""
    with pytest.raises(RequestTooLarge, match="demo/web, app: too many tiers or values: .*512 KiB"):
        await write(view, "demo", {"web": make_change(values={"x": "x" * 600_000}), "app": make_change()})
    assert dict(consul_kv) == {}


async def test_concurrent_writers_lose_no_generation(view, consul_kv):
    """Each of twelve writers gets its own generation, without a gap, and the newest becomes current."""
    changes = [
        make_change(values={"release": str(number)}, writer=make_writer(run_id=str(number))) for number in range(12)
    ]
    plans = await asyncio.gather(*(write(view, "demo", {"web": change}) for change in changes))
    decisions = [plan.decisions["web"] for plan in plans]
    generations = {decision.generation: decision.desired for decision in decisions}
    assert sorted(generations) == list(range(1, 13))
    assert history(consul_kv) == generations
    assert (await view.read("demo", "web")).desired == generations[12]


async def test_concurrent_writers_of_the_same_make_one_generation(view, consul_kv):
    """The second finds its content already written."""
    plans = await asyncio.gather(*(write(view, "demo", {"web": make_change()}) for _ in range(8)))
    assert [plan.generations for plan in plans] == [{"web": 1}] * 8
    assert sum(isinstance(plan.decisions["web"], Write) for plan in plans) == 1
    assert list(history(consul_kv)) == [1]


async def test_writers_of_overlapping_tiers_do_not_mix(view, consul_kv):
    """Two transactions that share a tier follow each other, each as a whole."""

    def both(state: str, *tiers: str):
        return write(view, "demo", {tier: make_change(state=state) for tier in tiers})

    first, second = await asyncio.gather(both("off", "web", "app"), both("waiting", "app", "db"))
    assert {first.generations["web"], second.generations["db"]} == {1}
    assert {first.generations["app"], second.generations["app"]} == {1, 2}
    newest = max(first.decisions["app"], second.decisions["app"], key=lambda decision: decision.generation)
    assert (await view.read("demo", "app")).desired == newest.desired


@pytest.mark.parametrize("is_applied", [True, False], ids=["answer lost", "request lost"])
async def test_lost_transaction_makes_one_generation(cluster, consul_root, consul_kv, is_applied):
    """A read shows whether Consul applied it; either way, one generation results."""
    forward = forward_to(cluster.http_port)
    lost: list[Request] = []

    def lose_first_transaction(request: Request) -> Answer | None:
        if request.path == "/v1/txn" and not lost:
            lost.append(request)
            if is_applied:
                assert forward(request).status == 200
            return None
        return forward(request)

    with Peer(lose_first_transaction) as peer:
        settings = ConsulSettings("127.0.0.1", peer.port, root=consul_root)
        async with ConsulClient(settings) as client:
            decision = (await write(SharedView(client), "demo", {"web": make_change()})).decisions["web"]
    assert len(lost) == 1
    assert decision.generation == 1
    assert isinstance(decision, Write)
    assert list(history(consul_kv)) == [1]


async def test_generations_go_on_after_the_key_was_deleted(view, consul_kv):
    """Old reports must not count for the new generation, and no history entry is replaced."""
    await write(view, "demo", {"web": make_change(state="off")})
    await write(view, "demo", {"web": make_change(state="waiting")})
    del consul_kv["demo/web/desired"]
    decision = (await write(view, "demo", {"web": make_change(state="converged")})).decisions["web"]
    assert decision.generation == 3
    assert list(history(consul_kv)) == [1, 2, 3]


async def test_lost_answer_is_no_reason_to_overwrite_a_newer_write(cluster, consul_root, consul_kv, view):
    """A second writer follows; the first finds that its own write was made, and stops."""
    forward = forward_to(cluster.http_port)
    lost: list[Request] = []

    def lose_first_transaction(request: Request) -> Answer | None:
        if request.path == "/v1/txn" and not lost:
            lost.append(request)
            assert forward(request).status == 200
            asyncio.run_coroutine_threadsafe(
                write(view, "demo", {"web": make_change(state="off", writer=make_writer(run_id="manual__2"))}), loop
            ).result(PATIENCE)
            return None
        return forward(request)

    loop = asyncio.get_running_loop()
    with Peer(lose_first_transaction) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port, root=consul_root)) as client:
            decision = (await write(SharedView(client), "demo", {"web": make_change()})).decisions["web"]
    assert decision.generation == 1
    assert list(history(consul_kv)) == [1, 2]
    assert json.loads(consul_kv["demo/web/desired"])["stable"]["state"] == "off"


async def test_write_gives_up_when_consul_stays_away(cluster, consul_root):
    """When its patience is over, it raises the last problem."""
    forward = forward_to(cluster.http_port)
    with Peer(lambda request: None if request.path == "/v1/txn" else forward(request)) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port, root=consul_root)) as client:
            with pytest.raises(ConsulUnavailable):
                await write(SharedView(client, patience=timedelta(seconds=0.3)), "demo", {"web": make_change()})
    assert len([request for request in peer.requests if request.path == "/v1/txn"]) > 1


async def test_members_by_name_are_watched_too(view, members):
    """A listed node that Consul does not know is absent until it joins."""
    members("web-1")
    selector = ListedMembers(("web-1", "web-2"))
    async with aclosing(view.watch("demo", "web", selector)) as watch, asyncio.timeout(PATIENCE):
        assert not (await anext(watch)).members["web-2"].is_present
        members("web-2", check="passing")
        while not (await anext(watch)).members["web-2"].is_present:
            pass
