"""ConsulExecChefOperator: which nodes it chooses, and what it says of them. Real agents run the commands."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.exceptions import (
    ChefConsulError,
    InvalidInput,
    MalformedDocument,
    NoDesiredState,
    NoMembers,
)
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from tests.support.airflow_home import connect, make_context, run_trigger
from tests.support.factory import make_assignment, make_canary, make_desired, make_failure, make_lease, make_report
from tests.support.raw_keys import RawKeys


@pytest.fixture(scope="module")
def agents(consul_binary, tmp_path_factory):
    """A cluster of its own with two web nodes, whose agents accept remote execution."""
    from demo.cluster import ConsulCluster

    with ConsulCluster(consul_binary, tmp_path_factory.mktemp("agents"), in_memory=True) as cluster:
        for node in ("web-1", "web-2"):
            cluster.add_node(node, tier="web")
        cluster.wait_until_ready()
        yield cluster


@pytest.fixture
def keys(agents, monkeypatch, consul_root):
    """The keys of the agents' Consul, below a root that the default connection names too."""
    import consul

    connect(monkeypatch, agents.http_port, prefix=consul_root)
    found = RawKeys(consul.Consul(host="127.0.0.1", port=agents.http_port), consul_root)
    found["demo/web/desired"] = make_desired(7).to_json()
    return found


@pytest.fixture(params=["blocking", "deferred"])
def nudge(request, keys):
    """Run the operator to its end: in the worker, or by its trigger after a detour through the database."""

    def run(**overrides):
        defaults = {"task_id": "nudge", "environment": "demo", "tier": "web", "command": "true"}
        operator = ConsulExecChefOperator(**defaults | overrides, deferrable=request.param == "deferred")
        try:
            return operator.execute(make_context())
        except TaskDeferred as deferred:
            event = asyncio.run(run_trigger(deferred.trigger))
            return getattr(operator, deferred.method_name)(make_context(), event)

    return run


def test_only_members_that_have_not_converged_are_nudged(nudge, keys):
    """A retry touches only the rest; all_nodes touches everyone."""
    assert nudge() == {"web-1": 0, "web-2": 0}
    keys["demo/web/nodes/web-1"] = make_report("web-1").to_json()
    keys["demo/web/nodes/web-2"] = make_failure("web-2").to_json()
    assert nudge() == {"web-2": 0}
    keys["demo/web/nodes/web-2"] = make_report("web-2").to_json()
    assert nudge() == {}
    assert nudge(all_nodes=True) == {"web-1": 0, "web-2": 0}


def test_only_members_of_the_generation_are_nudged(nudge, keys):
    """While a canary is out, its nodes and the others are nudged for their own generation only."""
    keys["demo/web/desired"] = make_desired(8, stable=make_assignment(7), canary=make_canary(8)).to_json()
    assert nudge(generation={"web": 8}) == {"web-1": 0}
    assert nudge(generation=7) == {"web-2": 0}
    assert nudge(generation="8", all_nodes=True) == {"web-1": 0}
    assert nudge() == {"web-1": 0, "web-2": 0}
    assert nudge(generation=6) == {}


def test_superseded_generation_is_said(nudge, keys, capsys):
    """Nobody is assigned it any more, so nobody is nudged; the log says by whose doing, not that 0 of 0 converged."""
    assert nudge(generation=6) == {}
    assert "demo/web: generation 6 is superseded by generation 7, state converged, written by" in (
        printed := capsys.readouterr().out
    )
    assert "of 0 members" not in printed
    keys["demo/web/desired"] = make_desired(8, stable=make_assignment(7), canary=make_canary(8, nodes=())).to_json()
    assert nudge(generation=8) == {}
    assert "demo/web: generation 8 is assigned to no member; there is nobody to nudge" in capsys.readouterr().out


def test_nudge_renews_the_lease_of_its_dag_run(nudge, keys):
    """So that a long run does not lose the environment; another Dag run's lease is left alone."""
    keys["demo/_lease"] = make_lease().to_json()
    nudge()
    assert json.loads(keys["demo/_lease"])["expires_at"] > make_lease().expires_at
    keys["demo/_lease"] = make_lease(holder=DagRun("other_rollout", "manual__9")).to_json()
    nudge()
    assert keys["demo/_lease"] == make_lease(holder=DagRun("other_rollout", "manual__9")).to_json()


def test_failing_command_is_a_warning_with_its_output(nudge, capsys):
    """The sensor judges; the log says which node, which code and what was printed."""
    assert nudge(command="echo the disk is full; exit 3", members=["web-1"]) == {"web-1": 3}
    printed = capsys.readouterr().out
    assert "web-1: 'echo the disk is full; exit 3' exited with 3" in printed
    assert "\nthe disk is full" in printed.replace("\\n", "\n")


def test_node_that_is_no_agent_is_unacknowledged(nudge, agents, capsys):
    """A node in the catalog whose agent does not answer is named, and is no failure."""
    import consul

    client = consul.Consul(host="127.0.0.1", port=agents.http_port)
    client.catalog.register("web-9", "127.0.0.1", service={"Service": "web"})
    try:
        assert nudge(timeout=timedelta(seconds=4)) == {"web-1": 0, "web-2": 0, "web-9": "unacknowledged"}
    finally:
        client.catalog.deregister("web-9")
    assert "web-9: no answer" in capsys.readouterr().out


def test_tier_without_members_is_an_error(nudge):
    """No node to nudge is never success."""
    with pytest.raises(NoMembers, match="demo/app has no members"):
        nudge(tier="app")


def test_tier_without_a_desired_state_is_an_error(nudge, keys):
    """Nodes would find nothing to act on."""
    del keys["demo/web/desired"]
    with pytest.raises(NoDesiredState, match="demo/web has no desired state yet"):
        nudge()


def test_long_run_is_handed_over_to_the_triggerer(keys, monkeypatch, tmp_path):
    """What has not ended in the worker's moment goes on in the triggerer, and no node runs it twice."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(seconds=1))
    command = f"echo run >> {tmp_path}/$PPID; while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; exit 4"
    operator = ConsulExecChefOperator(
        task_id="nudge", environment="demo", tier="web", command=command, members=["web-1"], deferrable=True
    )
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(make_context())
    (tmp_path / "go").touch()
    event = asyncio.run(run_trigger(deferred.value.trigger))
    assert operator.execute_complete(make_context(), event) == {"web-1": 4}
    assert [path.read_text() for path in tmp_path.iterdir() if path.name != "go"] == ["run\n"]


def test_unreadable_desired_state_is_an_error(nudge, keys):
    """Which nodes to nudge is unknown; the key is named."""
    keys["demo/web/desired"] = "{"
    with pytest.raises(MalformedDocument, match="demo/web/desired: not JSON"):
        nudge()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"max_parallel": 0}, "max_parallel must be a number of nodes from 1, or None, not 0"),
        ({"max_parallel": "3"}, "max_parallel must be a number of nodes from 1, or None, not '3'"),
        ({"all_nodes": "no"}, "all_nodes must be True or False, not 'no'"),
        ({"timeout": timedelta(0)}, "timeout must be a timedelta above zero"),
        ({"tier": "a/b"}, "tier 'a/b' is not a name"),
        ({"members": ["web 1"]}, "node 'web 1' is not a name"),
        ({"generation": 0}, "generation must be a number above 0"),
        ({"generation": {"app": 7}}, "has no entry for tier web"),
    ],
)
def test_bad_input(nudge, wrong, words):
    """Each is one clear error, before any node is touched."""
    with pytest.raises(InvalidInput, match=words):
        nudge(**wrong)


@pytest.mark.parametrize("event", [None, {}, {"error": "", "results": {"web-1": 0}}, {"error": "", "results": []}])
def test_event_is_validated_on_resume(event):
    """What comes out of the database is not trusted to be results."""
    operator = ConsulExecChefOperator(task_id="nudge", environment="demo", tier="web")
    with pytest.raises(ChefConsulError, match="the trigger's event is not "):
        operator.execute_complete(make_context(), event)


def test_node_whose_service_went_away_is_nudged(nudge, keys, agents):
    """A wait counts it by its report, so the nudge that is to mend it must reach it."""
    import httpx

    check = {"CheckID": "serfHealth", "Name": "Serf Health Status", "Status": "critical"}
    gone = {"Node": "gone-1", "Address": "127.0.0.1", "Service": {"Service": "other"}, "Check": check}
    httpx.put(f"http://127.0.0.1:{agents.http_port}/v1/catalog/register", json=gone).raise_for_status()
    keys["demo/other/desired"] = make_desired(7).to_json()
    keys["demo/other/nodes/web-2"] = make_failure("web-2", tier="other").to_json()
    assert nudge(tier="other") == {"web-2": 0}
