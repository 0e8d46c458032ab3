"""Slots on a real Consul: taken in turn, renewed, given back, kept, freed; and what somebody spoils."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from airflow_provider_chefconsul.consul.claimant import TicketTimes
from airflow_provider_chefconsul.consul.http.entry import Entry
from airflow_provider_chefconsul.consul.journal import read_journal
from airflow_provider_chefconsul.consul.slot_line import SlotLine
from airflow_provider_chefconsul.consul.slots import free, read_queue
from airflow_provider_chefconsul.domain.model.journal import JournalAct
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.pace import NO_LIMIT, AssignmentPace
from airflow_provider_chefconsul.domain.model.report import WaitsFor
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import DuplicateNode
from tests.consul.claimant import Player
from tests.support.factory import make_assignment, make_ticket, make_writer

LONGEST = 60  # seconds; nothing that a test waits for takes so long
SHORT = TicketTimes(held=3, waiting=3, rebooting=9)


def ticket_of(kv: Any, node: str) -> dict[str, Any]:
    """A node's ticket."""
    return json.loads(kv[f"demo/web/_slots/{node}"])


def nodes_with_tickets(kv: Any) -> list[str]:
    """Whose tickets there are."""
    return sorted(key.rpartition("/")[2] for key in kv if key.startswith("demo/web/_slots/"))


async def until(is_so: Callable[[], bool]) -> None:
    """Until Consul shows it."""
    async with asyncio.timeout(LONGEST):
        while not is_so():  # noqa: ASYNC110 - Consul is another process
            await asyncio.sleep(0.02)


@asynccontextmanager
async def queued(line: SlotLine, player: Player, kv: Any):
    """A node that waits, with a ticket."""
    task = asyncio.create_task(line.take(player))
    try:
        await until(lambda: player.node in nodes_with_tickets(kv))
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def hold(view, node: str = "web-1", **options: Any):
    """A slot that a node holds, in a process of its own."""
    line = SlotLine(view, "demo", "web", **{"times": SHORT} | options)
    async with asyncio.timeout(LONGEST):
        slot = await line.take(Player(node))
    assert slot is not None
    return slot


async def test_in_turn(view, consul_kv):
    """The second enters when the first gives its slot back, and says behind whom it waits until then."""
    first = await hold(view)
    assert ticket_of(consul_kv, "web-1")["held_since"]
    player = Player("web-2")
    async with queued(SlotLine(view, "demo", "web"), player, consul_kv) as taking:
        await until(lambda: bool(player.said))
        assert player.said == [WaitsFor(("web-1",), 1, 1)]
        assert ticket_of(consul_kv, "web-2")["held_since"] is None
        assert not taking.done()
        await first.give_back()
        async with asyncio.timeout(LONGEST):
            second = await taking
    assert second.ticket.held_since
    assert nodes_with_tickets(consul_kv) == ["web-2"]
    await second.give_back()
    assert nodes_with_tickets(consul_kv) == []


async def test_nodes_that_come_together_queue_once(view, consul_kv):
    """A list that was begun before a node had its ticket says nothing about the node."""
    line = SlotLine(view, "demo", "web")
    players = [Player(f"web-{number}") for number in range(12)]
    tasks = [asyncio.create_task(line.take(each)) for each in players]
    try:
        async with asyncio.timeout(LONGEST):
            while sum(bool(each.said) for each in players) < len(players) - 1:
                line.look_again()  # as a desired state that changes all the time would
                await asyncio.sleep(0)
        waiting = [ticket_of(consul_kv, node) for node in nodes_with_tickets(consul_kv)]
        assert {each["renewals"] for each in waiting if not each["held_since"]} == {0}
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_groups_do_not_wait_for_each_other(view, consul_kv):
    """Each has slots of its own."""
    line = SlotLine(view, "demo", "web")
    racks = [Player("web-1", "r1"), Player("web-2", "r2")]
    async with asyncio.timeout(LONGEST):
        slots = [await line.take(each) for each in racks]
    assert all(slots)
    async with queued(line, Player("web-3", "r2"), consul_kv) as taking:
        await slots[1].give_back()
        async with asyncio.timeout(LONGEST):
            assert await taking
    assert ticket_of(consul_kv, "web-3")["group"] == "r2"


async def test_node_that_needs_none_any_more_leaves_the_line(view, consul_kv):
    """It has converged meanwhile, or the limit is gone."""
    await hold(view)
    for wanted in (None, make_assignment(pace=NO_LIMIT)):
        player = Player("web-2")
        line = SlotLine(view, "demo", "web")
        async with queued(line, player, consul_kv) as taking:
            await until(lambda player=player: bool(player.said))
            player.wanted = wanted
            consul_kv["demo/web/_slots/web-9"] = make_ticket(
                "web-9"
            ).to_json()  # a change, as that of the desired state
            async with asyncio.timeout(LONGEST):
                assert await taking is None
        assert "web-2" not in nodes_with_tickets(consul_kv)


async def test_own_ticket_is_taken_up_again(view, consul_kv):
    """After a reboot or a failure: the position and the slot are kept."""
    slot = await hold(view)
    await slot.keep_failed()
    kept = ticket_of(consul_kv, "web-1")
    assert kept["failed"] is True
    line = SlotLine(view, "demo", "web")
    async with asyncio.timeout(LONGEST):
        again = await line.take(Player("web-1", run_id="r2"))
    after = ticket_of(consul_kv, "web-1")
    assert (after["held_since"], after["since"]) == (kept["held_since"], kept["since"])
    assert (after["failed"], after["run_id"], after["ttl"]) == (False, "r2", 120)
    await slot.give_back()  # the earlier run's, which is no longer its own
    assert nodes_with_tickets(consul_kv) == ["web-1"]
    await again.give_back()
    assert nodes_with_tickets(consul_kv) == []


async def test_ticket_of_another_group_is_given_up(view, consul_kv):
    """Nobody has counted its slot there: the node queues in its new group."""
    slot = await hold(view)
    slot.abandon()
    before = {each.node: each.create_index for each in await read_queue(view, "demo", "web")}
    async with asyncio.timeout(LONGEST):
        assert await SlotLine(view, "demo", "web").take(Player("web-1", "r1", run_id="r2"))
    after = {each.node: each.create_index for each in await read_queue(view, "demo", "web")}
    assert after["web-1"] > before["web-1"]
    assert ticket_of(consul_kv, "web-1")["group"] == "r1"


async def test_kept_slot_that_is_freed_meanwhile_is_gone(view, consul_kv, monkeypatch):
    """Somebody frees it between the look at the ticket and its renewal, and another node enters: the place is lost."""
    kept = await hold(view)
    await kept.keep_failed()
    put, others = view.client.put, []

    async def put_after_the_other(key: str, value: str, *, modify_index: int) -> bool:
        if modify_index and not others:
            await free(view, "demo", "web", "web-1", make_writer())
            others.append(None)
            others.append(await hold(view, "web-2"))
        return await put(key, value, modify_index=modify_index)

    monkeypatch.setattr(view.client, "put", put_after_the_other)
    player = Player("web-1", run_id="r2")
    taking = asyncio.create_task(SlotLine(view, "demo", "web").take(player))
    await until(lambda: bool(player.said))
    assert player.said[0].slot == ("web-2",)
    await others[1].give_back()
    async with asyncio.timeout(LONGEST):
        assert await taking


async def test_two_machines_with_one_name(view, consul_kv):
    """The second one fails, and changes nothing."""
    consul_kv["demo/web/_slots/web-1"] = before = make_ticket(node_id="m1").to_json()
    with pytest.raises(DuplicateNode, match="a machine of the same name holds ticket .*m1.*m2"):
        await SlotLine(view, "demo", "web").take(Player("web-1", node_id="m2"))
    assert consul_kv["demo/web/_slots/web-1"] == before


async def test_holder_that_dies_keeps_its_slot_until_its_time_is_over(view, consul_kv):
    """Whoever waits sees that nobody renews the ticket, and says so when it takes it away."""
    slot = await hold(view)
    slot.abandon()
    said: list[str] = []
    async with queued(
        SlotLine(view, "demo", "web", times=SHORT, tell=said.append), Player("web-2"), consul_kv
    ) as taking:
        async with asyncio.timeout(LONGEST):
            assert await taking
    assert said == ["demo/web: the ticket of web-1 was not renewed in time, so it no longer counts"]
    assert nodes_with_tickets(consul_kv) == ["web-2"]


async def test_live_tickets_are_renewed(view, client, consul_kv):
    """Those of holders and of nodes that wait, for longer than either lasts."""
    slot = await hold(view)
    async with queued(SlotLine(view, "demo", "web", times=SHORT), Player("web-2"), consul_kv) as taking:
        before = {each.node: each.modify_index for each in await read_queue(view, "demo", "web")}
        await asyncio.sleep(2 * SHORT.held)
        after = {each.node: each.modify_index for each in await read_queue(view, "demo", "web")}
        assert not taking.done()
    assert after.keys() == before.keys() == {"web-1", "web-2"}
    assert all(after[node] > before[node] for node in after)
    slot.abandon()


async def test_failed_ticket_never_expires(view, consul_kv):
    """A release that fails everywhere stops by itself; a person goes on."""
    await (await hold(view)).keep_failed()
    async with queued(SlotLine(view, "demo", "web", times=SHORT), Player("web-2"), consul_kv) as taking:
        await asyncio.sleep(2 * SHORT.held)
        assert not taking.done()
        assert await free(view, "demo", "web", "web-1", make_writer())
        async with asyncio.timeout(LONGEST):
            assert await taking
    assert not await free(view, "demo", "web", "web-1", make_writer())


async def test_freeing_is_told_with_what_it_does(view, consul_kv, monkeypatch):
    """Once, though the holder renews its ticket meanwhile; where there is no ticket there is nothing to tell."""
    await (await hold(view)).keep_failed()
    get, looks = view.client.get, []

    async def get_before_the_renewal(key: str) -> Entry | None:
        found = await get(key)
        if not looks:
            consul_kv["demo/web/_slots/web-1"] = make_ticket(renewals=9).to_json()
        looks.append(key)
        return found

    monkeypatch.setattr(view.client, "get", get_before_the_renewal)
    by = make_writer(task_id="slots")
    assert await free(view, "demo", "web", "web-1", by, reason="its disk is gone")
    assert len(looks) == 2
    assert not await free(view, "demo", "web", "web-1", by)
    (told,) = await read_journal(view, "demo")
    assert (told.act, told.scope, told.node) == (JournalAct.SLOT_FREED, ("web",), "web-1")
    assert (told.by, told.reason, told.tiers) == (by, "its disk is gone", {})


async def test_slot_that_its_node_gives_back_is_not_freed(view, consul_kv, monkeypatch):
    """Between the look and the transaction: nothing was freed, and nothing is told."""
    slot, get = await hold(view), view.client.get

    async def get_before_it_is_given_back(key: str) -> Entry | None:
        found = await get(key)
        if nodes_with_tickets(consul_kv):
            monkeypatch.undo()
            await slot.give_back()
        return found

    monkeypatch.setattr(view.client, "get", get_before_it_is_given_back)
    assert not await free(view, "demo", "web", "web-1", make_writer())
    assert (nodes_with_tickets(consul_kv), await read_journal(view, "demo")) == ([], [])


async def test_reboot_lasts_longer(view, consul_kv):
    """The ticket says so."""
    await (await hold(view)).keep_for_reboot()
    ticket = ticket_of(consul_kv, "web-1")
    assert (ticket["ttl"], bool(ticket["held_since"]), ticket["failed"]) == (9, True, False)


async def test_freed_holder_goes_on_without_a_slot(view, consul_kv):
    """It says so, once, and its end takes nobody's ticket away."""
    said: list[str] = []
    slot = await hold(view, times=TicketTimes(held=1), tell=said.append)
    await free(view, "demo", "web", "web-1", make_writer())
    await until(lambda: bool(said))
    assert "web-1 finishes its run without a slot" in said[0]
    consul_kv["demo/web/_slots/web-1"] = make_ticket(run_id="another").to_json()
    await slot.give_back()
    assert nodes_with_tickets(consul_kv) == ["web-1"]


@pytest.mark.parametrize("rest", ["", "bad name", "web-2/x"])
async def test_key_that_no_node_can_have_is_no_ticket(view, consul_kv, rest):
    """Nodes that wait would name it in their reports, which nobody could read then."""
    consul_kv[f"demo/web/_slots/{rest}"] = "?"
    assert await read_queue(view, "demo", "web") == []
    assert (await view.snapshot("demo", "web", ServiceMembers("web"))).tickets == {}
    await (await hold(view)).give_back()
    assert nodes_with_tickets(consul_kv) == [rest.rpartition("/")[2]]


async def test_own_ticket_that_is_spoilt_lets_nobody_in(view, consul_kv):
    """Its node queues again in the same place, and waits for its turn."""
    first = await hold(view)
    line = SlotLine(view, "demo", "web")
    async with queued(line, Player("web-2"), consul_kv) as taking:
        consul_kv["demo/web/_slots/web-2"] = "?"
        await until(lambda: consul_kv["demo/web/_slots/web-2"] != "?")
        assert (ticket_of(consul_kv, "web-2")["held_since"], taking.done()) == (None, False)
        await first.give_back()
        async with asyncio.timeout(LONGEST):
            assert await taking


async def test_spoilt_ticket(view, consul_kv):
    """It counts as a slot in use, is named, and is left alone, but by its own node."""
    consul_kv["demo/web/_slots/web-1"] = "?"
    assert isinstance((await read_queue(view, "demo", "web"))[0].ticket, Unreadable)
    said: list[str] = []
    async with queued(
        SlotLine(view, "demo", "web", times=SHORT, tell=said.append), Player("web-2"), consul_kv
    ) as taking:
        await asyncio.sleep(SHORT.held + 1)
        assert not taking.done()
        assert consul_kv["demo/web/_slots/web-1"] == "?"
        async with asyncio.timeout(LONGEST):
            own = asyncio.create_task(SlotLine(view, "demo", "web").take(Player("web-1")))
            slot = await own
        assert len(said) == 1
        assert said[0].startswith("demo/web: the ticket of web-1 counts as a slot in use")
        consul_kv["demo/web/_slots/web-1"] = "?"  # while it holds the slot
        await slot.give_back()
        async with asyncio.timeout(LONGEST):
            assert await taking


async def test_waiting_node_whose_ticket_was_freed_queues_again(view, consul_kv):
    """It loses its position, not its turn."""
    first = await hold(view)
    async with queued(SlotLine(view, "demo", "web"), Player("web-2"), consul_kv) as taking:
        before = {each.node: each.create_index for each in await read_queue(view, "demo", "web")}
        await free(view, "demo", "web", "web-2", make_writer())
        await until(lambda: "web-2" in nodes_with_tickets(consul_kv))
        after = {each.node: each.create_index for each in await read_queue(view, "demo", "web")}
        assert after["web-2"] > before["web-2"]
        await first.give_back()
        async with asyncio.timeout(LONGEST):
            assert await taking


async def test_raised_limit_lets_more_in(view, consul_kv):
    """As soon as the node knows of it, though no ticket changes."""
    first = await hold(view)
    player, line = Player("web-2"), SlotLine(view, "demo", "web")
    async with queued(line, player, consul_kv) as taking:
        await until(lambda: bool(player.said))
        player.wanted = make_assignment(pace=AssignmentPace(2))
        line.look_again()
        async with asyncio.timeout(LONGEST):
            assert await taking
    first.abandon()
