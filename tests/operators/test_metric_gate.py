"""MetricGateOperator against a real Prometheus and a real Consul."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput, UnusableConnection
from airflow_provider_chefconsul.operators.metric_gate import MetricGateOperator
from airflow_provider_chefconsul.triggers.metric_gate import MetricGateTrigger
from tests.support.airflow_home import make_context, run_trigger
from tests.support.factory import make_lease
from tests.support.peer import Answer, Peer

pytestmark = pytest.mark.usefixtures("consul_connection", "prometheus_connection")
MOMENT = timedelta(seconds=0.2)


@pytest.fixture(params=["blocking", "deferred"])
def measure(request, monkeypatch, metric):
    """Run the operator to its end: in the worker, or by its trigger after a detour through the database."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.metric_gate.ERROR_RETRY", MOMENT)

    def run(**overrides):
        defaults = {"task_id": "gate", "environment": "demo", "query": metric, "condition": "< 0.01"}
        defaults |= {"interval": MOMENT, "initial_delay": MOMENT}
        operator = MetricGateOperator(**defaults | overrides, deferrable=request.param == "deferred")
        try:
            return operator.execute(make_context())
        except TaskDeferred as deferred:
            assert request.param == "deferred"
            assert deferred.timeout >= timedelta(minutes=2)  # the scheduler's net, behind the last measurement
            event = asyncio.run(run_trigger(deferred.trigger))
            return getattr(operator, deferred.method_name)(make_context(), event)

    return run


def test_gate_passes(measure, prometheus, metric, capsys):
    """After all measurements, each of which the log names and the XCom holds."""
    prometheus.set(metric, 0.005)
    before = datetime.now(UTC)
    found = measure(count=3)
    assert [(each["assessment"], each["value"], each["reason"]) for each in found] == [("successful", "0.005", "")] * 3
    moments = [datetime.fromisoformat(each["at"]) for each in found]
    assert moments[0] >= before + MOMENT - timedelta(milliseconds=1)
    assert {later - earlier for earlier, later in pairwise(moments)} == {MOMENT}
    printed = capsys.readouterr().out
    assert all(f"measurement {number} of 3, as of 20" in printed for number in (1, 2, 3))


def test_gate_fails_at_once(measure, prometheus, metric):
    """And for good, when the limit is exceeded; it does not take the other measurements."""
    prometheus.set(metric, 0.25)
    with pytest.raises(AirflowFailException, match="1 of 1 measurements failed, .*the last one: 0.25 is not < 0.01"):
        measure(count=1000)


def test_limit_is_how_many_may_fail(measure, prometheus, metric):
    """One more ends it."""
    prometheus.set(metric, 0.25)
    with pytest.raises(AirflowFailException, match="3 of 3 measurements failed, more than failure_limit=2"):
        measure(count=4, failure_limit=2)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{}_not", "1 of 1 measurements were inconclusive, more than inconclusive_limit=0; .* yields no data"),
        ("0 * {} / 0", "NaN is no number to compare"),
        ('{0} or label_replace({0}, "copy", "1", "", "")', "yields 2 series instead of one"),
    ],
)
def test_inconclusive_measurements(measure, prometheus, metric, query, words):
    """Silence is never success."""
    prometheus.set(metric, 0)
    with pytest.raises(AirflowFailException, match=words):
        measure(query=query.format(metric))


def test_query_that_is_rejected(measure):
    """It fails at once and for good."""
    with pytest.raises(AirflowFailException, match=r"rejects the query 'sum\(': 400 .*parse error"):
        measure(query="sum(")


def test_prometheus_that_stays_away(measure, monkeypatch, capsys):
    """It is asked again up to a limit; then a retry of the task may find it back."""
    with Peer(lambda _: Answer(503, "down")) as server:
        fields = {"conn_type": "http", "host": "127.0.0.1", "port": server.port}
        monkeypatch.setenv("AIRFLOW_CONN_PROMETHEUS_DEFAULT", json.dumps(fields))
        with pytest.raises(ChefConsulError, match="PrometheusUnavailable: http://127.0.0.1:.*: 503 down") as caught:
            measure(consecutive_error_limit=2)
    assert not isinstance(caught.value, AirflowFailException)
    assert len(server.requests) == 3
    assert capsys.readouterr().out.count("not measured (consecutive_error_limit=2)") == 2


def test_prometheus_that_comes_back(measure, prometheus, metric, monkeypatch):
    """Errors count in a row only, and take no measurement's place."""
    answers = [503, 503, 200, 503, 503, 200]
    text = json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [1, "0"]}})
    with Peer(lambda _: Answer(answers.pop(0), text)) as server:
        fields = {"conn_type": "http", "host": "127.0.0.1", "port": server.port}
        monkeypatch.setenv("AIRFLOW_CONN_PROMETHEUS_DEFAULT", json.dumps(fields))
        assert len(measure(count=2, consecutive_error_limit=2)) == 2
    assert answers == []


def test_unusable_connection(measure, monkeypatch):
    """It is an error before anything is deferred."""
    monkeypatch.setenv("AIRFLOW_CONN_PROMETHEUS_DEFAULT", '{"conn_type": "http", "port": 9090}')
    with pytest.raises(UnusableConnection, match="connection prometheus_default: host is missing"):
        measure()


def test_lease_is_renewed_meanwhile(measure, prometheus, metric, consul_kv):
    """A gate may take longer than the lease would stand."""
    lease = make_lease(holder=DagRun("shop_rollout", "manual__1"))
    consul_kv["demo/_lease"] = lease.to_json()
    prometheus.set(metric, 0)
    measure(count=2)
    assert json.loads(consul_kv["demo/_lease"])["expires_at"] > lease.expires_at


def test_what_takes_a_moment_is_not_deferred(prometheus, metric):
    """A deferral costs more."""
    prometheus.set(metric, 0)
    given = {"environment": "demo", "query": metric, "condition": "== 0", "deferrable": True}
    assert len(MetricGateOperator(task_id="gate", **given).execute(make_context())) == 1
    with pytest.raises(TaskDeferred):
        MetricGateOperator(task_id="gate", **given, count=2).execute(make_context())


def restarted(begun_at: datetime, metric: str, **analysis) -> MetricGateTrigger:
    """A trigger as a triggerer makes it that starts after a gate began."""
    analysis = {
        "count": 2,
        "interval": 1.0,
        "initial_delay": 0.0,
        "failure_limit": 0,
        "inconclusive_limit": 0,
        **analysis,
    }
    return MetricGateTrigger(
        consul_conn_id="consul_default", environment="demo", holder=None, prometheus_conn_id="prometheus_default",
        query=metric, condition="== 1", analysis=analysis, begun_at=begun_at.isoformat(), consecutive_error_limit=0,
        timeout=5.0,
    )  # fmt: skip


async def test_restart_forgets_no_measurement(prometheus, metric):
    """Those that were due are taken as of then, at once; a failure of before counts, though all is well now."""
    prometheus.set(metric, 1)
    good = datetime.now(UTC)
    await asyncio.sleep(MOMENT.total_seconds())  # no gate measures more often
    prometheus.set(metric, 0)
    bad = datetime.now(UTC)
    prometheus.set(metric, 1)
    apart = (bad - good).total_seconds()
    event = await run_trigger(restarted(good, metric, interval=apart))
    assert "1 of 2 measurements failed" in event["failure"]
    assert [each["value"] for each in event["measurements"]] == ["1", "0"]
    event = await run_trigger(restarted(good, metric, interval=apart, count=3, failure_limit=1))
    assert (event["failure"], [each["value"] for each in event["measurements"]]) == ("", ["1", "0", "1"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"condition": "small"}, "condition must be a comparison"),
        ({"query": " "}, "query must be PromQL, not ' '"),
        ({"environment": "de mo"}, "environment 'de mo' is not a name"),
        ({"count": 0}, "count must be a whole number from 1"),
        ({"consecutive_error_limit": -1}, "consecutive_error_limit must be a whole number from 0"),
        ({"timeout": timedelta(0)}, "timeout must be a timedelta of at least"),
        ({"deferrable": "no"}, "deferrable must be True or False"),
    ],
)
def test_impossible_literals_are_import_errors(wrong, words):
    """Nobody has to run the Dag to learn of them; templates are left to the task."""
    given = {
        "task_id": "gate",
        "environment": "{{ params.e }}",
        "query": "{{ params.q }}",
        "condition": "< {{ params.c }}",
    }
    with DAG("never", schedule=None):
        MetricGateOperator(**given)
        with pytest.raises(InvalidInput, match=words):
            MetricGateOperator(**given | {"task_id": "wrong"} | wrong)
