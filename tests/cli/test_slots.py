"""`airflow chefconsul slots`, and what `explain` says of slots."""

from __future__ import annotations

import json

import pytest

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.report import Status, WaitsFor
from tests.cli.conftest import read_desired
from tests.support.airflow_home import connect
from tests.support.factory import make_desired, make_report, make_ticket

SLOTS = ("slots", "demo", "web")
HELD = {"held_since": "2026-11-22T08:00:02Z", "ttl": 120}


@pytest.fixture
def desired(declare, consul_kv, members) -> DesiredState:
    """One slot: web-1 holds it, web-2 waits, and there are a failed ticket, one of a stranger and a spoilt one."""
    members("web-1", "web-2", "web-3")
    declare("web", "2.5.0", "--slots", "1")
    tickets = {
        "web-2": make_ticket("web-2"),
        "web-1": make_ticket("web-1", **HELD),
        "web-3": make_ticket("web-3", is_failed=True, group="r1", **HELD),
        "db-1": make_ticket("db-1"),
    }
    for node, ticket in tickets.items():
        consul_kv[f"demo/web/_slots/{node}"] = ticket.to_json()
    consul_kv["demo/web/_slots/web-4"] = "?"
    return read_desired(consul_kv)


def told(airflow_chefconsul):
    """The entries of the journal about slots that were freed."""
    entries = airflow_chefconsul("journal", "demo", "--tier", "web", "-o", "json").json["entries"]
    return [each for each in entries if each["act"] == "slot_freed"]


def test_table(airflow_chefconsul, desired):
    """Those who hold a slot first, each first come first."""
    ended = airflow_chefconsul(*SLOTS)
    assert ended.code == 0
    lines = [line.strip() for line in ended.out.splitlines()]
    assert lines[0] == "demo/web: 1 slot; 3 in use, 2 waiting"
    assert lines[1].startswith("web-1 holds a slot for ")
    assert lines[2].startswith("web-3 keeps a slot of r1 for ")
    assert lines[2].endswith(": its run failed, so it is the first to run again")
    assert lines[3].startswith("web-4 has a ticket that cannot be read, which counts as a slot in use: ")
    assert lines[4].startswith("web-2 waits for a slot for ")
    assert lines[5].startswith("db-1 waits for a slot for ")
    assert lines[5].endswith("; it is no member")


def test_json(airflow_chefconsul, desired):
    """The pace, and each ticket with its fields."""
    found = airflow_chefconsul(*SLOTS, "-o", "json").json
    assert (found["environment"], found["tier"], found["freed"]) == ("demo", "web", None)
    assert found["pace"] == {"max_parallel": 1}
    assert [(each["node"], each["held"], each["failed"]) for each in found["tickets"]] == [
        ("web-1", True, False), ("web-3", True, True), ("web-4", True, None), ("web-2", False, False),
        ("db-1", False, False),
    ]  # fmt: skip


def test_free(airflow_chefconsul, desired, consul_kv):
    """Takes the ticket away, also one that nobody can read; a node without one is an error that names the others."""
    for node in ("web-1", "web-4"):
        ended = airflow_chefconsul(*SLOTS, "--free", node)
        assert ended.code == 0
        assert ended.out.startswith(
            f"demo/web: freed the slot of {node}; if its run goes on, it finishes without one\n"
        )
        assert f"demo/web/_slots/{node}" not in consul_kv
    ended = airflow_chefconsul(*SLOTS, "--free", "web-2")
    assert ended.out.startswith("demo/web: took web-2 out of the line for slots; if it still waits, it queues again\n")
    assert [each["node"] for each in told(airflow_chefconsul)] == ["web-1", "web-4", "web-2"]
    ended = airflow_chefconsul(*SLOTS, "--free", "web-1")
    assert ended.code == 3
    assert "demo/web: web-1 has no ticket for a slot; there are: " in ended.err
    assert airflow_chefconsul(*SLOTS, "--free", "web/1").code == 2
    assert len(told(airflow_chefconsul)) == 3


def test_the_journal_says_who_freed_it_and_why(airflow_chefconsul, desired):
    """A reason is for what is done, so it requires --free."""
    assert airflow_chefconsul(*SLOTS, "--free", "web-1", "--reason", "its disk is gone").code == 0
    line = airflow_chefconsul("journal", "demo", "--tier", "web").out.splitlines()[-1]
    assert "Z freed the slot of web-1 in web, by airflow chefconsul slots, " in line
    assert line.endswith(": its disk is gone")
    ended = airflow_chefconsul(*SLOTS, "--reason", "its disk is gone")
    assert (ended.code, ended.err) == (2, "airflow chefconsul: error: --reason requires --free\n")


def test_nothing_is_taken(airflow_chefconsul, declare):
    """A tier without tickets, and one that is not declared."""
    declare()
    assert airflow_chefconsul(*SLOTS).out == "demo/web: no limit; 0 in use, 0 waiting\n"
    assert airflow_chefconsul("slots", "demo", "wbe").code == 3


@pytest.mark.parametrize("node", [[], ["web-2"]])
def test_explain_says_who_holds_the_slot(airflow_chefconsul, desired, consul_kv, node):
    """Only while a node that is explained waits; and who is dead in the line, where it keeps its place."""
    held = "web-1 holds a slot for "
    assert held not in airflow_chefconsul("explain", "demo", "web", *node).out
    report = make_report(
        "web-2", generation=1, id=desired.stable.id, status=Status.WAITING, waits_for=WaitsFor(("web-1",), 1, 1)
    )
    consul_kv["demo/web/nodes/web-2"] = report.to_json()
    ended = airflow_chefconsul("explain", "demo", "web", *node)
    assert ended.code == 3
    assert held in ended.out
    assert "behind web-1; 1 slot, 1 ahead of it" in ended.out
    assert airflow_chefconsul("explain", "demo", "web", *node, "-o", "json").json["slots"][0].startswith(held)
    assert "behind web-1" in airflow_chefconsul("status", "demo", "web").out
    lines = airflow_chefconsul("explain", "demo", "web", *node, "-o", "json").json["slots"]
    assert lines[-1].startswith("db-1 waits for a slot for ")
    assert lines[-1].endswith("; it is no member")
    assert not any(line.startswith("web-2 ") for line in lines)  # it waits as it should


def test_free_without_the_right_to_the_journal(airflow_chefconsul, acl_consul, consul_root, monkeypatch):
    """Nothing is freed, and the error names the key."""
    below = f"{consul_root}/demo/web"
    for key, document in (("desired", make_desired()), ("_slots/web-1", make_ticket(**HELD))):
        acl_consul.put(f"kv/{below}/{key}", json.loads(document.to_json()))
    rules = [
        f'key_prefix "{below}/" {{ policy = "write" }}',
        f'key_prefix "{consul_root}/demo/_" {{ policy = "read" }}',
    ]
    rules += [f'{kind}_prefix "" {{ policy = "read" }}' for kind in ("node", "service")]
    connect(monkeypatch, acl_consul.port, password=acl_consul.create_token("\n".join(rules)), prefix=consul_root)
    ended = airflow_chefconsul(*SLOTS, "--free", "web-1")
    assert (ended.code, ended.out) == (1, "")
    assert f": Consul refuses the ACL token for {consul_root}/demo/_journal/" in ended.err
    assert airflow_chefconsul(*SLOTS).out.splitlines()[1].strip().startswith("web-1 holds a slot for ")
