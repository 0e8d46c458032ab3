"""The stand-in for chef-client takes a slot, on a real Consul: in its turn, and gives it back or keeps it."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.simulator.node import Node, finish
from tests.support.factory import make_ticket
from tests.support.waiting import wait_until

OTHER = {"held_since": "2026-11-22T08:00:02Z", "ttl": 120}


def desire(node: Node, generation: int = 1, **pace: Any) -> None:
    """Desire a generation at a pace."""
    stable = {"generation": generation, "state": "converged", "values": {}, "id": f"a{generation}", **pace}
    node.desire(generation, stable=stable)


def ticket(node: Node, of: str = "web-1") -> dict[str, Any] | None:
    """A node's ticket."""
    text = node.get(f"{node.root}/demo/web/_slots/{of}")
    return None if text is None else json.loads(text)


def hold(node: Node, of: str = "web-2") -> str:
    """Another node holds a slot; returns the key of its ticket."""
    key = f"{node.root}/demo/web/_slots/{of}"
    node.put(key, make_ticket(of, **OTHER).to_json())
    return key


def test_slot_is_taken_and_given_back(node):
    """Its ticket says who, for what and since when; nothing is left of it after a success."""
    desire(node, max_parallel=1)
    run = node.start_until("works for", "--seconds", "1")
    held = ticket(node)
    assert (held["node"], held["generation"], held["id"], held["ttl"]) == ("web-1", 1, "a1", 120)
    assert held["held_since"]
    assert finish(run)[0] == 0
    assert ticket(node) is None
    assert node.reported("status") == ["succeeded"]


def test_waits_behind_a_holder(node):
    """It reports behind whom; the newest assignment is the one that it runs."""
    key = hold(node)
    desire(node, max_parallel=1)
    run = node.start_until("waits for a slot: behind web-2; 1 slot, 1 ahead of it")
    wait_until(lambda: node.report() is not None)
    assert node.reported("status", "generation", "waits_for", "previous_status") == [
        "waiting", 1, {"slot": ["web-2"], "of": 1, "ahead": 1}, None,
    ]  # fmt: skip
    desire(node, 2, max_parallel=1)
    node.request("DELETE", key, None)
    assert finish(run)[0] == 0
    assert node.reported("status", "generation", "previous_status") == ["succeeded", 2, None]
    assert "waits_for" not in node.report()


def test_limit_that_vanishes_lets_it_in(node):
    """The next in line reads the desired state anew."""
    hold(node)
    desire(node, max_parallel=1)
    run = node.start_until("waits for a slot")
    desire(node)
    hold(node, "web-3")  # a change, instead of ten seconds
    assert finish(run)[0] == 0
    assert ticket(node) is None


def test_failure_keeps_the_slot(node):
    """Until a run of it succeeds, which enters by its old ticket, though others hold all slots by now."""
    desire(node, max_parallel=1)
    assert node.run("--fail")[0] == 1
    kept = ticket(node)
    assert kept["failed"] is True
    hold(node)
    assert node.run()[0] == 0
    assert ticket(node) is None


def test_killed_run_leaves_its_ticket(node):
    """The next run of the machine takes it up."""
    desire(node, max_parallel=1)
    run = node.start_until("works for", "--seconds", "100")
    run.send_signal(signal.SIGKILL)
    run.wait()
    since = ticket(node)["since"]
    run = node.start_until("works for", "--seconds", "1")
    assert ticket(node)["since"] == since
    finish(run)


def test_interrupted_run_leaves_its_ticket_too(node):
    """It lasts for its time: nobody knows what the run has done."""
    desire(node, max_parallel=1)
    run = node.start_until("works for", "--seconds", "100")
    run.send_signal(signal.SIGINT)
    assert finish(run)[0] == 2
    assert ticket(node)["failed"] is False


def test_converged_node_needs_no_slot(node):
    """A run on the usual interval does not queue."""
    desire(node, max_parallel=1)
    assert node.run()[0] == 0
    hold(node)
    assert node.run()[0] == 0
    assert ticket(node) is None


@pytest.mark.parametrize("spoilt", ["?", make_ticket("web-7").to_json()])
def test_spoilt_ticket_counts_as_a_slot_in_use(node, spoilt):
    """It is never deleted by a node; its own is replaced."""
    desire(node, max_parallel=1)
    node.put(f"{node.root}/demo/web/_slots/web-2", spoilt)
    run = node.start_until("waits for a slot: behind web-2")
    assert run.poll() is None
    desire(node, max_parallel=2)
    hold(node, "web-3")  # behind; a change
    node.request("DELETE", f"{node.root}/demo/web/_slots/web-3", None)
    assert finish(run)[0] == 0
    assert node.get(f"{node.root}/demo/web/_slots/web-2") == spoilt
    desire(node, 2, max_parallel=3)
    node.put(f"{node.root}/demo/web/_slots/web-1", spoilt)
    assert node.run()[0] == 0
    assert ticket(node) is None
