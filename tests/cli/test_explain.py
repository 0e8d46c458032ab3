"""`airflow chefconsul explain`."""

from __future__ import annotations

import json

import pytest

from tests.support.factory import make_failure, make_report


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
    assert lines[0] == "demo/web: 1 of 3 members converged, assigned generation 1, state converged, release=2.5.0"
    assert lines[2] == "  held up by 1 not_reported (web-3), 1 failed (web-2)"
    assert lines[3].startswith("web-2: failed converging generation 1, ")
    assert lines[4] == "  → fix the node, then clear the task that failed, or run chef-client on it"
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
    assert set(document) == {"environment", "tier", "converged", "headline", "written", "obstacles", "nodes"}
    assert set(found) == {"node", "standing", "text", "since", "action"}
    assert found["node"] == node


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
