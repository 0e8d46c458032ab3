"""Runs of a real chef-client while Consul is unavailable: at the start, during the run, and afterwards."""

from __future__ import annotations

import json

import pytest

from airflow_provider_chefconsul.domain.model.report import Status
from tests.cookbooks.trial import finish
from tests.support.peer import Answer, Peer, forward_to


@pytest.fixture
def nowhere(free_port) -> str:
    """An address where no Consul listens."""
    return f"http://127.0.0.1:{free_port}"


def test_fail(trial, nowhere):
    """By default a run without Consul fails before it changes anything, and the next run sends its report."""
    trial.recipe("desired_state('web')\nfile('/nowhere/at/all')")
    trial.desire()
    node = trial.node(consul_url=nowhere, patience=0.2)
    ran = node.converge()
    assert ran.code == 1
    assert f"Consul at {nowhere} is unreachable" in ran.output
    (kept,) = node.kept_reports()
    assert (kept["status"], kept["generation"]) == ("failed", None)
    assert kept["error"]["class"] == "DesiredState::ConsulUnavailable"


def test_consul_without_a_leader(trial):
    """It counts as unavailable."""
    trial.recipe("desired_state('web', default: 'off')")
    with Peer(lambda request: Answer(500, "No cluster leader", {})) as peer:
        node = trial.node(consul_url=f"http://127.0.0.1:{peer.port}", patience=0.2)
        ran = node.converge()
        requests = list(peer.requests)
    assert ran.code == 1
    assert "answered 500: No cluster leader" in ran.output
    assert [report["status"] for report in node.kept_reports()] == ["failed"]
    assert requests[0].method == "GET"
    assert [request.method for request in requests].count("PUT") == 1


def test_last_known(trial, nowhere):
    """With :last_known a node uses what it last read; a node that has read nothing fails."""
    release = trial.directory / "release"
    trial.recipe(f"""
        want = desired_state('web', on_unavailable: :last_known)
        file '{release}' do
          content want.values.fetch('release')
        end
    """)
    trial.desire()
    node = trial.node(consul_url=nowhere, patience=0.2)
    without = node.converge()
    node.settings |= trial.settings
    assert node.converge().code == 0
    assert node.kept_reports() == []
    release.unlink()
    node.settings |= {"consul_url": nowhere, "patience": 0.2}
    cached = node.converge()
    (kept,) = node.kept_reports()
    assert without.code == 1
    assert "this node has no last known state of web" in without.output
    assert cached.code == 0
    assert release.read_text() == "2.5.0"
    assert (kept["status"], kept["generation"], kept["source"]) == ("succeeded", 7, "cache")


def test_fail_late(trial, nowhere):
    """With :fail_late the tier is left unchanged, the rest converges, then the run fails."""
    repaired = trial.directory / "repaired"
    trial.recipe(f"""
        desired_state('web', on_unavailable: :fail_late) {{ |on| on.state('converged') {{ raise 'left alone' }} }}
        file('{repaired}') {{ content 'the agent' }}
    """)
    node = trial.node(consul_url=nowhere, patience=0.2)
    ran = node.converge()
    (kept,) = node.kept_reports()
    assert ran.code == 1
    assert repaired.read_text() == "the agent"
    assert "leaving web unchanged" in ran.output
    assert (kept["status"], kept["generation"], kept["updated_resources"]) == ("failed", None, 1)
    assert kept["error"]["class"] == "DesiredState::ConsulUnavailable"


def test_outage_during_the_run(trial, gate, cluster):
    """Its outcome is kept; the next run replaces it, and reports it as previous_status."""
    trial.recipe(f"desired_state('web')\nruby_block('gate') {{ block {{ {gate.ruby} }} }}")
    trial.desire()
    node = trial.node()
    with Peer(forward_to(cluster.http_port)) as peer:
        node.settings["consul_url"] = f"http://127.0.0.1:{peer.port}"
        run = node.start()
        gate.wait()
    gate.open()
    ran = finish(run)
    lost = trial.report()
    (kept,) = node.kept_reports()
    assert ran.code == 0
    assert "could not report succeeded, kept for the next run" in ran.output
    assert lost.status is Status.RUNNING
    assert (kept["status"], kept["run_id"]) == ("succeeded", lost.run_id)

    trial.recipe("desired_state('web')")
    with Peer(forward_to(cluster.http_port)) as peer:
        node.settings["consul_url"] = f"http://127.0.0.1:{peer.port}"
        assert node.converge().code == 0
        sent = [json.loads(request.body) for request in peer.requests if request.method == "PUT"]
    assert [report["status"] for report in sent] == ["running", "succeeded"]
    assert [report["previous_status"] for report in sent] == ["succeeded", "succeeded"]
    assert trial.report().run_id == sent[1]["run_id"] != lost.run_id
    assert node.kept_reports() == []
