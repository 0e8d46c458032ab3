"""Freezing, promoting and aborting in a real Consul, and what the journal tells of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_chefconsul.consul import journal as journalling
from airflow_provider_chefconsul.consul.acquisition import acquire
from airflow_provider_chefconsul.consul.freeze import find_freeze, freeze, unfreeze, wait_until_free
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.journal import read_journal
from airflow_provider_chefconsul.consul.lease import break_lease, find_lease
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import plan, steer, write
from airflow_provider_chefconsul.domain.model.freeze import EVERY_TIER, make_freeze_entry
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, find_good
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.write.rollback import RollBack
from airflow_provider_chefconsul.domain.write.steering import Abort, Promotion
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import (
    EnvironmentLeased,
    MalformedDocument,
    RolloutAborted,
    TierFrozen,
    TransactionConflict,
    WriteRefused,
)
from tests.support.factory import make_assignment, make_change, make_lease, make_writer
from tests.support.peer import Answer, Peer, Request, forward_to
from tests.support.progress import PATIENCE, Lines

ADA = make_writer(dag_id="operate", run_id="manual__9", task_id="act")
NEXT = {"release": "2.6.0"}


def frozen(reason="evening", until=None):
    """An entry of a freeze that begins now."""
    return make_freeze_entry(ADA, reason, until, now=datetime.now(UTC))


async def begin_rollout(view, members):
    """A tier of which one node is a canary's."""
    members("web-1", "web-2", "web-3")
    await write(view, "demo", {"web": make_change()})
    await write(view, "demo", {"web": make_change(values=NEXT, canary=Wave.parse(1), wave=(1, 3))})


async def acts(view):
    """What the journal tells, oldest first."""
    return [str(entry.act) for entry in await read_journal(view, "demo")]


@asynccontextmanager
async def just_before_its_transaction(cluster, client, act):
    """A view through which something else happens before the first transaction."""
    forward, seen = forward_to(cluster.http_port), []

    def answer(request: Request) -> Answer:
        if request.path == "/v1/txn" and not seen:
            seen.append(request)
            act()
        return forward(request)

    with Peer(answer) as peer:
        async with ConsulClient(replace(client.settings, port=peer.port)) as behind:
            yield SharedView(behind)


# The freeze -----------------------------------------------------------------------------------------------------------


async def test_frozen_tier_stays_where_it_is(view, consul_kv, members):
    """Whoever writes; what stands already, and other tiers, may still be written."""
    await begin_rollout(view, members)
    await freeze(view, "demo", ["web"], frozen())
    before = consul_kv["demo/web/desired"]
    refused = pytest.raises(
        TierFrozen, match="demo/web: frozen by Dag operate, run manual__9, task act since .*: evening"
    )
    with refused:
        await write(view, "demo", {"web": make_change(state="off")})
    with pytest.raises(TierFrozen):
        await write(view, "demo", {"app": make_change(), "web": make_change(state="off")})
    for act in (
        steer(view, "demo", ["web"], RollBack(make_writer(task_id="back"))),
        steer(view, "demo", ["web"], Promotion(ADA)),
    ):
        with pytest.raises(TierFrozen):
            await act
    assert isinstance((await plan(view, "demo", {"web": make_change(state="off")})).refusal, TierFrozen)
    assert (consul_kv["demo/web/desired"], "demo/app/desired" in consul_kv) == (before, False)
    again = await write(view, "demo", {"web": make_change(values=NEXT, canary=Wave.parse(1))})
    assert again.generations == {"web": 2}
    await write(view, "demo", {"app": make_change()})


async def test_rollback_may_go_ahead(view, consul_kv, members):
    """When it says so, and the journal says so, too."""
    await begin_rollout(view, members)
    await freeze(view, "demo", [EVERY_TIER], frozen())
    rollback = RollBack(make_writer(task_id="back"), despite_freeze=True, reason="a wave failed")
    assert (await steer(view, "demo", ["web"], rollback)).generations == {"web": 1}
    last = (await read_journal(view, "demo"))[-1]
    assert last.act == JournalAct.ROLLED_BACK
    assert last.reason.startswith("despite the freeze (frozen by Dag operate, run manual__9, task act since ")
    assert last.reason.endswith(": evening): a wave failed")


async def test_paused_rollout_can_be_called_off(view, consul_kv, members):
    """While it is frozen, so that its next wave does not go out first; a rollback that goes ahead stops it, too."""
    await begin_rollout(view, members)
    await freeze(view, "demo", ["web"], frozen())
    assert (await steer(view, "demo", ["web"], Abort(ADA, "errors"))).generations == {"web": 1}
    assert (await read_journal(view, "demo"))[-1].reason.endswith(": evening): errors")
    await unfreeze(view, "demo", None, ADA)
    another = make_writer(run_id="manual__2")
    again = make_change(values=NEXT, canary=Wave.parse(1), writer=another)
    await write(view, "demo", {"web": again})
    await steer(view, "demo", ["web"], RollBack(ADA, reason="errors again"))
    with pytest.raises(RolloutAborted, match="was aborted by Dag operate, run manual__9, task act: errors again"):
        await write(view, "demo", {"web": replace(again, canary=Wave.parse(2))})


async def test_freeze_ends(view, consul_kv):
    """By its time, or when somebody ends it; its key is gone then, and the journal tells who."""
    await freeze(view, "demo", ["web"], frozen("lunch", datetime.now(UTC) + timedelta(seconds=5)))
    await freeze(view, "demo", ["app", "db"], frozen())
    with pytest.raises(TierFrozen, match="lunch"):
        await write(view, "demo", {"web": make_change()})
    assert await wait_until_free(view, "demo", ["web"]) is True
    await write(view, "demo", {"web": make_change()})
    assert (await unfreeze(view, "demo", ["app"], ADA, reason="done")).entries.keys() == {"db"}
    assert await unfreeze(view, "demo", ["app"], ADA) is None
    assert (await unfreeze(view, "demo", None, ADA)).entries == {}
    assert "demo/_freeze" not in consul_kv
    found = [(str(each.act), each.scope, each.reason) for each in await read_journal(view, "demo") if each.scope]
    assert found[1:] == [
        ("frozen", ("app", "db"), "evening"),
        ("unfrozen", ("app",), "done"),
        ("unfrozen", ("db",), ""),
    ]


async def test_wait_for_the_end_of_a_freeze(view, cluster):
    """It says who, since when, until when and why, once; and comes back when asked to."""
    lines, entry = Lines(), frozen()
    await freeze(view, "demo", ["web"], entry)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    assert await wait_until_free(view, "demo", ["app", "web"], until=soon, on_progress=lines.add) is None
    assert lines == [f"demo/web: waiting, {entry.describe()}"]
    waiting = asyncio.create_task(wait_until_free(view, "demo", ["app", "web"], on_progress=lines.add))
    await freeze(view, "demo", [EVERY_TIER], frozen("everything"))
    await unfreeze(view, "demo", ["web"], ADA)
    await lines.until("everything; demo/web: waiting")  # both, by the entry of all
    assert not waiting.done()
    await unfreeze(view, "demo", None, ADA)
    assert await asyncio.wait_for(waiting, PATIENCE) is True


async def test_freeze_is_seen_by_a_write_that_has_read_before_it(cluster, view, client, consul_kv):
    """Once a freeze is acknowledged, no write slips past it."""
    await write(view, "demo", {"web": make_change()})
    loop = asyncio.get_running_loop()

    def freeze_now():
        asyncio.run_coroutine_threadsafe(freeze(view, "demo", ["web"], frozen()), loop).result(30)

    async with just_before_its_transaction(cluster, client, freeze_now) as late:
        with pytest.raises(TierFrozen):
            await write(late, "demo", {"web": make_change(state="off")})
    assert '"state": "converged"' in consul_kv["demo/web/desired"]


async def test_freeze_that_another_ends_first_is_not_ended_again(cluster, view, client):
    """The journal tells of one end."""
    await freeze(view, "demo", ["web"], frozen())
    loop = asyncio.get_running_loop()

    def unfreeze_now():
        asyncio.run_coroutine_threadsafe(unfreeze(view, "demo", None, ADA), loop).result(30)

    async with just_before_its_transaction(cluster, client, unfreeze_now) as late:
        assert (await unfreeze(late, "demo", None, make_writer())).entries == {}
    assert await acts(view) == ["frozen", "unfrozen"]


async def test_malformed_freeze_stops_writes(view, consul_kv):
    """Nobody knows what it was to say; it is not replaced."""
    consul_kv["demo/_freeze"] = "{"
    for act in (
        write(view, "demo", {"web": make_change()}),
        freeze(view, "demo", ["web"], frozen()),
        unfreeze(view, "demo", None, ADA),
    ):
        with pytest.raises(MalformedDocument, match="demo/_freeze: not JSON .*; delete this key to end every freeze"):
            await act
    assert consul_kv["demo/_freeze"] == "{"


# Promoting and aborting -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holder", [DagRun.of(make_writer()), DagRun("nightly", "scheduled__1"), None])
async def test_steering_beside_a_lease(view, consul_kv, members, holder):
    """A person may steer the rollout of the Dag run that holds the environment, but nobody else's."""
    await begin_rollout(view, members)
    if holder is not None:
        consul_kv["demo/_lease"] = make_lease(holder=holder).to_json()
    if holder is not None and holder.dag_id == "nightly":
        with pytest.raises(EnvironmentLeased, match="held by Dag nightly"):
            await steer(view, "demo", ["web"], Promotion(ADA))
        return
    assert (await steer(view, "demo", ["web"], Promotion(ADA, "fine"))).generations == {"web": 2}
    left = await write(view, "demo", {"web": make_change(values=NEXT, wave=(3, 3))})
    assert (left.generations, left.new) == ({"web": 2}, frozenset())
    assert await acts(view) == ["declared", "declared", "promoted"]


async def test_steering_beside_a_lease_that_changes_hands(cluster, view, client, consul_kv, members):
    """What was planned beside the rollout's own lease is refused once another Dag run has taken it over."""
    await begin_rollout(view, members)
    consul_kv["demo/_lease"] = make_lease().to_json()
    theirs = make_lease(holder=DagRun("nightly", "scheduled__1")).to_json()
    async with just_before_its_transaction(cluster, client, lambda: consul_kv.update({"demo/_lease": theirs})) as late:
        with pytest.raises(EnvironmentLeased, match="held by Dag nightly"):
            await steer(late, "demo", ["web"], Abort(ADA, "errors"))
    assert await acts(view) == ["declared", "declared"]


async def test_abort_stops_the_rollout_for_good(view, members):
    """Its next wave is refused with the reason, and so is a second abort, which says what stands."""
    await begin_rollout(view, members)
    assert (await steer(view, "demo", ["web"], Abort(ADA, "errors"))).generations == {"web": 1}
    with pytest.raises(RolloutAborted, match="demo/web: the rollout of generation 2 was aborted by Dag operate"):
        await write(view, "demo", {"web": make_change(values=NEXT, canary=Wave.parse(2), wave=(2, 3))})
    with pytest.raises(WriteRefused, match="no canary is out, so there is nothing to abort"):
        await steer(view, "demo", ["web"], Abort(make_writer(task_id="second"), "errors"))
    last = (await read_journal(view, "demo"))[-1]
    assert (last.act, last.by, last.reason, last.tiers["web"].generation) == (JournalAct.ROLLED_BACK, ADA, "errors", 1)


async def test_two_who_steer_at_once(view, members):
    """One wins; the other is told what stands."""
    await begin_rollout(view, members)
    results = await asyncio.gather(
        steer(view, "demo", ["web"], Promotion(ADA)),
        steer(view, "demo", ["web"], Abort(make_writer(task_id="second"), "errors")),
        return_exceptions=True,
    )
    refused = [each for each in results if isinstance(each, WriteRefused)]
    assert len(refused) == 1
    assert "no canary is out" in str(refused[0])
    assert len(await acts(view)) == 3


# The journal ----------------------------------------------------------------------------------------------------------


async def test_every_act_is_told(view, members):
    """With its wave; writes that move no tier tell nothing."""
    await begin_rollout(view, members)
    await write(view, "demo", {"web": make_change(values=NEXT, canary=Wave.parse(2), wave=(2, 3))})
    await write(view, "demo", {"web": make_change(values=NEXT, canary=Wave.parse(2), wave=(2, 3))})  # a retry
    await write(view, "demo", {"web": make_change(values=NEXT, wave=(3, 3), sequence=1863769600)})
    await write(view, "demo", {"web": make_change(values=NEXT, sequence=1963769600)})  # only a later logical time
    entries = await read_journal(view, "demo")
    assert [(str(each.act), str(each.wave)) for each in entries] == [
        ("declared", "None"),
        ("declared", "wave 1 of 3 (1)"),
        ("widened", "wave 2 of 3 (2)"),
        ("promoted", "wave 3 of 3 (100%)"),
    ]
    assert {each.tiers["web"].generation for each in entries[1:]} == {2}


async def test_leases_are_told(view):
    """Who took one, from whom; who broke it."""
    until = datetime.now(UTC) + timedelta(seconds=30)
    options = {"ttl": timedelta(minutes=5), "until": until, "by": ADA}
    assert await acquire(view, "demo", DagRun.of(ADA), reason="upgrade", **options)
    assert await acquire(view, "demo", DagRun.of(ADA), reason="upgrade", **options)  # renewed: nothing to tell
    await break_lease(view, "demo", await find_lease(view, "demo"), make_writer(), reason="burned")
    taken, broken = await read_journal(view, "demo")
    assert (taken.act, taken.by, taken.reason) == (JournalAct.LEASE_TAKEN, ADA, "upgrade")
    assert broken.act == JournalAct.LEASE_BROKEN
    assert broken.reason.startswith("it was held by Dag operate, run manual__9 since")
    assert broken.reason.endswith("; burned")


async def test_lease_that_was_released_is_not_broken(view, consul_kv):
    """Its holder may write on, and nothing is told."""
    consul_kv["demo/_lease"] = make_lease(holder=DagRun.of(ADA)).to_json()
    found = await find_lease(view, "demo")
    del consul_kv["demo/_lease"]
    with pytest.raises(WriteRefused, match="was renewed, released or taken over in the meantime"):
        await break_lease(view, "demo", found, make_writer(), reason="burned")
    assert (list(consul_kv), await acts(view)) == ([], [])


async def test_journal_is_bounded(view, consul_kv, monkeypatch):
    """The oldest entries go in the transaction that appends."""
    monkeypatch.setattr(journalling, "KEPT", 5)
    for number in range(9):
        await write(view, "demo", {"web": make_change(values={"release": str(number)})})
    entries = await read_journal(view, "demo")
    assert [each.tiers["web"].values["release"] for each in entries] == ["4", "5", "6", "7", "8"]


async def test_verdict_is_told_once(view):
    """However many wait, until another one is found on the same assignment."""
    found = JournalEntry("", ADA, JournalAct.CONVERGED, {"web": make_assignment(7)})
    for act in (JournalAct.CONVERGED, JournalAct.CONVERGED, JournalAct.FAILED, JournalAct.FAILED, JournalAct.CONVERGED):
        await journalling.append(view, "demo", replace(found, at=journalling.now_written(), act=act))
    assert await acts(view) == ["converged", "failed", "converged"]


async def test_what_is_good_outlives_what_was_done(view, monkeypatch):
    """A rollback may go back to what has stood for long, however much has been done since."""
    monkeypatch.setattr(journalling, "KEPT", 2)
    good = JournalEntry(journalling.now_written(), ADA, JournalAct.CONVERGED, {"web": make_assignment(7, id="a")})
    await journalling.append(view, "demo", good)
    for _ in range(4):
        await journalling.append(view, "demo", JournalEntry(journalling.now_written(), ADA, JournalAct.LEASE_TAKEN))
    entries = await read_journal(view, "demo")
    assert [str(each.act) for each in entries] == ["converged", "lease_taken", "lease_taken"]
    assert find_good(entries, "web").keys() == {(7, "a")}
    for number in (8, 9):
        later = replace(good, at=journalling.now_written(), tiers={"web": make_assignment(number, id="b")})
        await journalling.append(view, "demo", later)
    assert find_good(await read_journal(view, "demo"), "web").keys() == {(8, "b"), (9, "b")}


async def test_entries_that_cannot_be_read_are_left_out(view, consul_kv):
    """They hide no other."""
    await write(view, "demo", {"web": make_change()})
    consul_kv["demo/_journal/0"] = "{"
    assert await acts(view) == ["declared"]


async def test_append_tells_only_what_was_done(view, consul_kv):
    """When the act fails, so does its entry."""
    entry = JournalEntry(journalling.now_written(), ADA, JournalAct.FROZEN)
    wrong = journalling.Operation.check_and_set(view.keys.freeze("demo"), "{}", 7)
    with pytest.raises(TransactionConflict):
        await journalling.append(view, "demo", entry, wrong)
    assert dict(consul_kv) == {}


async def test_empty_freeze_is_none(view):
    """Nothing is frozen where nobody froze anything."""
    assert (await find_freeze(view, "demo")).freeze.entries == {}
