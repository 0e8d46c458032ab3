"""`airflow chefconsul explain`."""

from __future__ import annotations

import json

import pytest

from airflow_provider_chefconsul.consul.node_snapshot import read_node
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.report import Status, WaitsFor
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from tests.support.airflow_home import connect
from tests.support.factory import make_desired, make_failure, make_report, make_ticket


@pytest.fixture
def tier(declare, members, consul_kv):
    """One node has converged, one has failed and one has never reported."""
    members("web-1", "web-2", "web-3")
    declare()
    consul_kv["demo/web/nodes/web-1"] = make_report(generation=1).to_json()
    consul_kv["demo/web/nodes/web-2"] = make_failure("web-2", generation=1).to_json()


@pytest.mark.usefixtures("tier")
def test_tier(airflow_chefconsul):
    """The desired state, the obstacles, and who can act on each."""
    ended = airflow_chefconsul("explain", "demo", "web")
    assert ended.code == 3
    lines = ended.out.splitlines()
    assert lines[0] == "demo/web: assigned generation 1, state converged, release=2.5.0; 1 of 3 members converged"
    assert lines[2] == "  held up by 1 not_reported (web-3), 1 failed (web-2)"
    assert lines[3].startswith("web-2: failed converging generation 1, ")
    assert lines[4] == "  → fix the node, then run chef-client on it, or clear the task that failed in Airflow"
    assert lines[5] == "web-3: not reported: has never reported"
    assert len(lines) == 7


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize(("node", "code", "words"), [("web-1", 0, "converged on generation 1"), ("web-2", 3, "ENOSPC")])
def test_node(airflow_chefconsul, node, code, words):
    """One node, converged or not; the exit code is the node's."""
    ended = airflow_chefconsul("explain", "demo", "web", node)
    assert ended.code == code
    assert f"{node}: " in ended.out
    assert words in ended.out
    document = airflow_chefconsul("explain", "demo", "web", node, "-o", "json").json
    (found,) = document["nodes"]
    assert set(document) == {
        "environment", "tier", "converged", "headline", "written", "obstacles", "frozen", "orphaned", "slots", "locks",
        "nodes",
    }  # fmt: skip
    assert set(found) == {"node", "standing", "text", "since", "action"}
    assert found["node"] == node
    assert document["converged"] is (code == 0)
    assert document["headline"] == "demo/web: assigned generation 1, state converged, release=2.5.0"


@pytest.mark.parametrize(
    ("node", "is_whole"),
    [("web-1", False), ("web-2", False), ("web-3", True), ("guest", True), ("cache", True), ("no name", True)],
)
def test_node_is_explained_as_in_its_tier(airflow_chefconsul, tier, members, consul_kv, monkeypatch, node, is_whole):
    """In the same words, from two keys where they say enough; the tier is read for who is silent or not selected."""
    members("guest", tier="other")
    consul_kv["demo/web/nodes/guest"] = make_failure("guest", generation=1).to_json()
    whole = []
    monkeypatch.setattr(SharedView, "snapshot", _counted(SharedView.snapshot, whole))
    of_tier = airflow_chefconsul("explain", "demo", "web", "-o", "json").json["nodes"]
    whole.clear()
    ended = airflow_chefconsul("explain", "demo", "web", node, "-o", "json")
    assert bool(whole) is is_whole
    found = ended.json["nodes"] if ended.out else []
    assert [each["text"] for each in found if each["node"] != "web-1"] == [
        each["text"] for each in of_tier if each["node"] == node
    ]


@pytest.mark.parametrize(
    "selector", ["service:web", "meta:rack=a", "web-1,web-2", "service:none", "meta:rack=b", "web-2"]
)
@pytest.mark.parametrize("check", [None, "critical"])
async def test_member_is_read_as_in_its_tier(view, members, consul_kv, service_check, selector, check):
    """With its presence, metadata and failing checks; None where the tier's snapshot does not select it."""
    members("web-1", "web-2", check=check, rack="a")
    service_check("web-1", "critical")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    for node in ("web-1", "web-2"):
        consul_kv[f"demo/web/nodes/{node}"] = make_report(node).to_json()
    parsed = parse_members(selector if ":" in selector else selector.split(","), "web")
    whole = await view.snapshot("demo", "web", parsed)
    found = await read_node(view, "demo", "web", parsed, "web-1")
    if "web-1" not in whole.members:
        assert found is None
    else:
        assert found == TierSnapshot(
            whole.desired, {"web-1": whole.members["web-1"]}, {"web-1": whole.evidence["web-1"]}
        )


def _counted(function, calls):
    """The function itself, with a note of each call."""

    def call(*args, **kwargs):
        calls.append(args)
        return function(*args, **kwargs)

    return call


@pytest.mark.usefixtures("tier")
def test_node_that_is_no_member(airflow_chefconsul):
    """The error lists the members."""
    ended = airflow_chefconsul("explain", "demo", "web", "cache")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == (
        "airflow chefconsul: error: demo/web has no member 'cache'; its members are: web-1, web-2, web-3\n"
    )
    ended = airflow_chefconsul("explain", "demo", "web", "WEB-2")
    assert "demo/web has no member 'WEB-2', but web-2; its members are: web-1, web-2, web-3" in ended.err


def test_machine_that_reports_under_another_name(airflow_chefconsul, declare, members, consul_kv):
    """Consul lists the short name, Chef reports the full one: so the member seems silent."""
    members("web-1", "web-2")
    declare()
    for node in ("web-1", "web-2.example.com"):
        consul_kv[f"demo/web/nodes/{node}"] = make_report(node, generation=1).to_json()
    lines = airflow_chefconsul("explain", "demo", "web").out.splitlines()
    same = "web-2.example.com has, which is no member: most likely the same machine under another name"
    assert lines[-2:] == [
        f"web-2: not reported: has never reported; {same}",
        "  → give the machine one name: a node reports by its name in Consul",
    ]


def test_early_failure(airflow_chefconsul, declare, members, consul_kv):
    """It left no report for the tier, so the environment's report is shown."""
    members("web-1")
    declare()
    error = {"class": "SyntaxError", "message": "unexpected end of file", "resource": ""}
    consul_kv["demo/_nodes/web-1"] = json.dumps(
        {"schema": 1, "node": "web-1", "finished_at": "2026-11-22T08:00:09Z", "error": error}
    )
    words = "its last run ended before it had read a tier, "
    assert words in airflow_chefconsul("explain", "demo", "web").out
    ended = airflow_chefconsul("set", "demo", "web", "--state", "off", "--wait", "--timeout", "1s")
    assert ended.code == 3
    assert f"{words}" in ended.out
    assert "SyntaxError: unexpected end of file" in ended.out


@pytest.mark.parametrize("node", [[], ["web-1"]])
def test_lock_of_choregraphie_that_a_running_node_may_wait_for(
    airflow_chefconsul, members, consul_kv, consul_root, node
):
    """It lies anywhere in Consul, and is only read."""
    members("web-1", "web-2")
    members("web-3", check="critical")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    running = make_report("web-1", status=Status.RUNNING, finished_at=None)
    consul_kv["demo/web/nodes/web-1"] = running.to_json()
    key = f"{consul_root}/locks/web"
    held = json.dumps({"version": 1, "concurrency": 1, "holders": {"web-3": "2026-11-22 08:00:00 +0000"}})
    consul_kv["locks/web"] = held
    ended = airflow_chefconsul("explain", "demo", "web", *node, "--lock", f"/{key}", "-o", "json")
    (line,) = ended.json["locks"]
    assert line.startswith(f"lock {key}: 1 of 1 nodes, held by web-3 for ")
    assert line.endswith("(its agent is not alive); web-1 may wait for it")
    assert line[:40] in airflow_chefconsul("explain", "demo", "web", *node, "--lock", key).out


@pytest.mark.parametrize("is_converged", [True, False])
def test_lock_that_is_none_takes_nothing_away(airflow_chefconsul, members, consul_kv, consul_root, is_converged):
    """A line each in its place; the nodes and the exit code are as without it."""
    members("web-1")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-1"] = (make_report if is_converged else make_failure)("web-1").to_json()
    spoilt = f"{consul_root}/demo/web/desired"
    without = airflow_chefconsul("explain", "demo", "web")
    ended = airflow_chefconsul("explain", "demo", "web", "--lock", "no/where", "--lock", spoilt)
    assert (ended.code, ended.err) == (without.code, "")
    locks = [line for line in ended.out.splitlines() if line.startswith("  lock ")]
    assert locks == [
        "  lock no/where: nobody has taken it yet",
        f"  lock {spoilt}: cannot be read: field version is missing",
    ]
    assert len(ended.out.splitlines()) == len(without.out.splitlines()) + 2


def test_what_the_token_may_not_read_takes_nothing_away(airflow_chefconsul, acl_consul, consul_root, monkeypatch):
    """Neither a lock nor the tickets: the nodes are explained."""
    acl_consul.register("web-1", "web-2", tier="web")
    below = f"{consul_root}/demo/web"
    waiting = make_report("web-2", status=Status.WAITING, finished_at=None, waits_for=WaitsFor(("web-1",), 1, 1))
    for key, document in (
        ("desired", make_desired(7)), ("nodes/web-2", waiting), ("_slots/web-1", make_ticket(held_since="?")),
    ):  # fmt: skip
        acl_consul.put(f"kv/{below}/{key}", json.loads(document.to_json()))
    rules = [f'key "{below}/desired"', f'key_prefix "{below}/nodes/"', f'key_prefix "{consul_root}/demo/_"']
    rules += ['node_prefix ""', 'service_prefix ""']
    token = acl_consul.create_token("\n".join(f'{rule} {{ policy = "read" }}' for rule in rules))
    connect(monkeypatch, acl_consul.port, password=token, prefix=consul_root)
    ended = airflow_chefconsul("explain", "demo", "web", "--lock", "locks/web", "-o", "json")
    assert (ended.code, ended.err) == (3, "")
    assert {each["node"]: each["standing"] for each in ended.json["nodes"]} == {
        "web-1": "not_reported", "web-2": "waiting",
    }  # fmt: skip
    (lock,), (slots,) = ended.json["locks"], ended.json["slots"]
    assert lock.startswith("lock locks/web: cannot be read: http://")
    assert slots.startswith("who holds slots may not be read: http://")
    assert all("/v1/kv/" in line and "403" in line for line in (lock, slots))
    ended = airflow_chefconsul("slots", "demo", "web")
    assert (ended.code, ended.out) == (1, "")
    assert "/demo/web/_slots/: 403" in ended.err
