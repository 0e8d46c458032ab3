"""ConvergedSensor against a real Consul, blocking and deferred."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput, MalformedDocument, NoDesiredState
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from tests.support.airflow_home import connect, make_context, run_trigger
from tests.support.factory import make_desired, make_failure, make_report

pytestmark = pytest.mark.usefixtures("consul_connection")
SHORT = ConvergencePolicy(timeout=timedelta(seconds=0.5))
CONVERGED = {"web": {"generation": 7, "members": 2, "counts": {"converged": 2}, "nodes": {}}}


@pytest.fixture(params=["blocking", "deferred"])
def sense(request, monkeypatch):
    """Run a sensor to its end: in the worker, or by its trigger after a detour through the database."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    # On a busy machine the first look may take longer than it is granted past a deadline as short as these.
    monkeypatch.setattr("airflow_provider_chefconsul.consul.tier_wait._FIRST_LOOK", timedelta(minutes=1))

    def run(context=None, **overrides):
        defaults = {"task_id": "wait", "environment": "demo", "tier": "web", "policy": SHORT}
        sensor = ConvergedSensor(**defaults | overrides, deferrable=request.param == "deferred")
        try:
            return sensor.execute(context or make_context())
        except TaskDeferred as deferred:
            assert request.param == "deferred"
            assert deferred.timeout > timedelta(minutes=1)  # the scheduler's net, behind the wait's own deadline
            event = asyncio.run(run_trigger(deferred.trigger))
            return getattr(sensor, deferred.method_name)(make_context(), event)

    return run


@pytest.fixture
def tier(consul_kv, members):
    """Tier web at generation 7 with two members, web-1 converged."""
    members("web-1", "web-2")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1").to_json()
    return consul_kv


def test_converged_tier_returns_a_summary(sense, tier):
    """The XCom says generation, counts, and who has not converged: nobody."""
    tier["demo/web/nodes/web-2"] = make_report("web-2").to_json()
    assert sense() == CONVERGED


def test_converged_tier_is_not_deferred(tier):
    """A deferral costs seconds, so the sensor checks first."""
    tier["demo/web/nodes/web-2"] = make_report("web-2").to_json()
    sensor = ConvergedSensor(task_id="wait", environment="demo", tier="web", deferrable=True)
    assert sensor.execute(make_context()) == CONVERGED


def test_waits_for_the_last_report(sense, tier):
    """A report that comes while the sensor waits ends the wait."""

    def report():
        time.sleep(0.3)
        tier["demo/web/nodes/web-2"] = make_report("web-2").to_json()

    node = threading.Thread(target=report)
    node.start()
    assert sense(policy=ConvergencePolicy(timeout=timedelta(seconds=60))) == CONVERGED
    node.join()


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (None, "web-2: not reported: has never reported; run chef-client on it"),
        (make_report("web-2", generation=6).to_json(), "web-2: last ran generation 6 (succeeded "),
        (make_report("web-2", state="off").to_json(), "web-2: reports state off, not converged, on generation 7"),
        ("{", "web-2: its report cannot be read: {root}/demo/web/nodes/web-2: not JSON"),
        ('{"schema": 2}', "web-2: its report cannot be read: {root}/demo/web/nodes/web-2: schema 2 is unknown"),
        (
            make_report("web-9").to_json(),
            "web-2: its report cannot be read: {root}/demo/web/nodes/web-2: is a report of node web-9",
        ),
    ],
)
def test_deadline_names_who_held_it_up(sense, tier, consul_root, capsys, report, line):
    """The other node's convergence is seen all the same, and the log names the node and the reason."""
    if report is not None:
        tier["demo/web/nodes/web-2"] = report
    with pytest.raises(AirflowSensorTimeout, match="demo/web: deadline passed: 1 of 2 members present converged"):
        sense()
    assert line.format(root=consul_root) in capsys.readouterr().out


def test_log_shows_an_early_failure(sense, tier, capsys):
    """Nothing is under the tier's key then: without this, nobody would know why the node is silent."""
    error = {"class": "SyntaxError", "message": "unexpected end", "resource": ""}
    early_failure = {"schema": 1, "node": "web-2", "finished_at": "2026-11-22T08:00:01Z", "error": error}
    tier["demo/_nodes/web-2"] = json.dumps(early_failure)
    with pytest.raises(AirflowSensorTimeout):
        sense()
    assert "its last run ended before it had read a tier, " in (printed := capsys.readouterr().out)
    assert "SyntaxError: unexpected end" in printed


def test_failure_fails_at_once_on_the_first_try(sense, tier, capsys):
    """A failure reported before the wait began counts, and its resource is named."""
    tier["demo/web/nodes/web-2"] = make_failure("web-2").to_json()
    with pytest.raises(AirflowFailException, match=r"1 of 2 members present failed \(web-2\); max_failed=0 is spent"):
        sense(policy=ConvergencePolicy(timeout=timedelta(hours=1)))
    assert "Errno::ENOSPC: No space left on device in file[/srv/web/index.html]" in capsys.readouterr().out


def test_old_failure_is_history_after_a_clear(sense, tier, capsys):
    """Cleared, the wait gives the failed node its next run; when that fails too, it fails at once."""
    tier["demo/web/nodes/web-2"] = make_failure("web-2").to_json()
    with pytest.raises(AirflowSensorTimeout):
        sense(make_context(try_number=2))
    assert "web-2: failed converging generation 7 before this try" in capsys.readouterr().out

    def fail_again():
        time.sleep(0.3)
        tier["demo/web/nodes/web-2"] = make_failure("web-2", run_id="3040").to_json()

    node = threading.Thread(target=fail_again)
    node.start()
    with pytest.raises(AirflowFailException, match="max_failed=0"):
        sense(make_context(try_number=3), policy=ConvergencePolicy(timeout=timedelta(seconds=60)))
    node.join()


@pytest.mark.parametrize(("is_repeated", "error"), [(True, AirflowFailException), (False, AirflowSensorTimeout)])
def test_failure_after_a_repeated_nudge_counts_at_once(sense, tier, plain_consul, consul_root, is_repeated, error):
    """When the nudge before the wait was cleared too, its failure is news; without that, it is history."""
    nudged_at = int(plain_consul.kv.get(f"{consul_root}/demo/web/", recurse=True)[0])
    tier["demo/web/nodes/web-2"] = make_failure("web-2").to_json()
    context = make_context(try_number=2)
    context["task_state_store"] = StateStore(nudge={"index": nudged_at, "try_number": 1})
    context["ti"].xcom_pull.return_value = {"index": nudged_at, "try_number": 2 if is_repeated else 1}
    with pytest.raises(error):
        sense(context, nudged_by="web.nudge")
    assert context["task_state_store"]["nudge"] == context["ti"].xcom_pull.return_value


class StateStore(dict):
    """What Airflow 3.3 keeps for a task across its tries."""

    def set(self, key, value):
        """Keep a value."""
        self[key] = value


def test_superseded_fails_and_names_the_writer(sense, tier, capsys):
    """Waiting for a generation that the tier has moved past would never end well."""
    with pytest.raises(AirflowFailException, match="generation 6 is superseded by generation 7.*Dag shop_rollout"):
        sense(generation=6)
    assert "of 0 members" not in capsys.readouterr().out


@pytest.mark.parametrize("generation", [7, "7", {"web": 7}, {"web": 7, "app": 3}])
def test_generation_as_authors_write_it(sense, tier, generation):
    """A number, a rendered template, or the mapping that SetDesiredStateOperator returns."""
    tier["demo/web/nodes/web-2"] = make_report("web-2").to_json()
    assert sense(generation=generation) == CONVERGED


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"generation": {"app": 3}}, "has no entry for tier web"),
        ({"generation": "seven"}, "generation must be a number"),
        ({"tier": "we/b"}, "tier 'we/b' is not a name"),
        ({"environment": ""}, "environment '' is not a name"),
        ({"members": "meta:tier"}, "invalid members 'meta:tier'; expected 'service'"),
    ],
)
def test_bad_input(sense, tier, wrong, words):
    """Each is one clear error."""
    with pytest.raises(InvalidInput, match=words):
        sense(**wrong)


def test_tier_without_members_is_an_error(sense, consul_kv):
    """Nobody to wait for is never success."""
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    with pytest.raises(AirflowFailException, match="demo/web: the tier has no members"):
        sense()


def test_tier_without_a_desired_state_is_an_error(sense, members):
    """There is nothing to converge on."""
    members("web-1")
    with pytest.raises(NoDesiredState, match="demo/web has no desired state yet"):
        sense()


def test_unreadable_desired_state_is_an_error(sense, tier, consul_root):
    """The key is named."""
    tier["demo/web/desired"] = "{"
    with pytest.raises(MalformedDocument, match=f"{consul_root}/demo/web/desired: not JSON"):
        sense()


def test_absent_member_is_excused_and_named(sense, tier, members):
    """An agent that is not alive holds nobody up by default; the summary names it."""
    members("web-2", check="critical")
    assert sense() == {
        "web": {
            "generation": 7,
            "members": 2,
            "counts": {"converged": 1, "absent": 1},
            "nodes": {"absent": ["web-2"]},
        }
    }


def test_members_by_meta_and_by_name(sense, tier, members):
    """Members are selected by metadata or listed; an unknown name is an error."""
    members("web-1", rack="r1")
    assert sense(members="meta:rack=r1")["web"]["counts"] == {"converged": 1}
    assert sense(members=["web-1"])["web"]["counts"] == {"converged": 1}
    with pytest.raises(InvalidInput, match="members of demo/web: Consul lists no node 'Web-1', did you mean 'web-1'?"):
        sense(members=["web-1", "Web-1"])


def test_several_tiers(sense, tier, members, consul_kv):
    """All must converge; the summary has each."""
    members("app-1", tier="app")
    consul_kv["demo/app/desired"] = make_desired(3).to_json()
    consul_kv["demo/app/nodes/app-1"] = make_report("app-1", tier="app", generation=3).to_json()
    tier["demo/web/nodes/web-2"] = make_report("web-2").to_json()
    summary = sense(tier=["web", "app"])
    assert (summary["web"]["generation"], summary["app"]["generation"]) == (7, 3)
    tier["demo/web/nodes/web-2"] = make_failure("web-2").to_json()
    with pytest.raises(AirflowFailException, match="demo/web: 1 of 2"):
        sense(tier=["web", "app"])


def test_soft_fail_skips_on_a_verdict(sense, tier):
    """Airflow's soft_fail is honoured for verdicts."""
    with pytest.raises(AirflowSkipException, match="deadline passed"):
        sense(soft_fail=True)


def test_sensor_timeout_bounds_the_policy(sense, tier):
    """Airflow's own timeout parameter is honoured when it is the shorter one."""
    with pytest.raises(AirflowSensorTimeout):
        sense(policy=ConvergencePolicy(timeout=timedelta(hours=1)), timeout=0.3)


def test_consul_away_during_the_wait_is_said_at_the_deadline(monkeypatch, tier, free_port):
    """A wait retries until its deadline, then names the problem."""
    from airflow_provider_chefconsul.domain.verdict.wait import Wait
    from airflow_provider_chefconsul.triggers.converged import ConvergedTrigger
    from tests.support.factory import NOW

    connect(monkeypatch, free_port, connection_id="nowhere")
    trigger = ConvergedTrigger(
        consul_conn_id="nowhere",
        environment="demo",
        waits={"web": Wait(7, NOW).to_fields()},
        policy=ConvergencePolicy().to_fields(),
        members="service",
    )
    event = asyncio.run(run_trigger(trigger))
    assert event["ending"] == "timed_out"
    assert event["reason"] == "demo/web: deadline passed: Consul did not answer in time"


@pytest.mark.parametrize("event", [None, {}, {"ending": "fine", "reason": "", "tiers": {}, "lines": []}, "converged"])
def test_event_is_validated_on_resume(event):
    """An event from the database is not trusted to be an outcome."""
    sensor = ConvergedSensor(task_id="wait", environment="demo", tier="web")
    with pytest.raises(ChefConsulError, match="the trigger's event is not "):
        sensor.execute_complete(make_context(), event)
