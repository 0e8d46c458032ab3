"""What tasks measure, and the page about it. Against a real Consul, in the worker and deferred."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, TaskDeferred

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.exceptions import Drifted
from airflow_provider_chefconsul.operators.audit import DriftAuditOperator
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.freeze import FreezeOperator
from airflow_provider_chefconsul.operators.lease import AcquireLeaseOperator
from airflow_provider_chefconsul.operators.transition import TransitionOperator
from tests.support.airflow_home import connect, make_context, run_trigger
from tests.support.factory import make_desired, make_failure, make_lease, make_report

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
TIER = {"environment": "demo", "tier": "web"}
IN_DEMO = {"environment": "demo"}


@pytest.fixture(params=["blocking", "deferred"])
def run(request, monkeypatch):
    """Run an operator to its end: in the worker, or by its triggers after detours through the database."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))

    def to_the_end(operator_class, **options):
        operator = operator_class(**{"task_id": "t"} | options, deferrable=request.param == "deferred")
        call, arguments = operator.execute, (make_context(),)
        while True:
            try:
                return call(*arguments)
            except TaskDeferred as deferred:
                event = asyncio.run(run_trigger(deferred.trigger))
                call, arguments = getattr(operator, deferred.method_name), (make_context(), event)

    return to_the_end


@pytest.mark.usefixtures("consul_connection")
@pytest.mark.parametrize("verdict", ["converged", "failed", "timed_out"])
def test_wait(run, stats, consul_kv, members, verdict):
    """Its verdict, how long it took, and where the nodes stood: also where none stood."""
    members("web-1", "web-2")
    reports = {"converged": make_report, "failed": make_failure, "timed_out": make_report}
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=1).to_json()
    generation = 0 if verdict == "timed_out" else 1
    consul_kv["demo/web/nodes/web-2"] = reports[verdict]("web-2", generation=generation).to_json()
    options = {**TIER, "state": "converged", "values": {"release": "2.5.0"}}
    policy = ConvergencePolicy(timeout=timedelta(seconds=2))
    if verdict == "converged":
        run(SetDesiredStateOperator, **options, wait=policy)
    else:
        with pytest.raises(Exception, match=r"1 of 2|deadline passed"):
            run(SetDesiredStateOperator, **options, wait=policy)
    assert stats.of("chefconsul.wait.verdicts") == [(1, {**IN_DEMO, "verdict": verdict})]
    [(duration, tags)] = stats.of("chefconsul.wait.duration")
    assert timedelta(0) < duration < timedelta(minutes=1)
    assert tags == {**IN_DEMO, "verdict": verdict}
    stood = {tags["standing"]: value for value, tags in stats.of("chefconsul.nodes") if tags["tier"] == "web"}
    assert stood.keys() == set(Standing)
    other = {"failed": "failed", "timed_out": "old_generation"}.get(verdict)
    assert {standing: count for standing, count in stood.items() if count} == (
        {"converged": 1, other: 1} if other else {"converged": 2}
    )


@pytest.fixture
def agent(make_cluster, monkeypatch):
    """A node whose agent runs commands."""
    import consul

    from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT
    from tests.support.raw_keys import RawKeys

    cluster = make_cluster(web=1)
    connect(monkeypatch, cluster.http_port)
    return RawKeys(consul.Consul(host="127.0.0.1", port=cluster.http_port), DEFAULT_ROOT)


def test_nudge(run, stats, agent):
    """Of its own task, and within a transition."""
    agent["demo/web/desired"] = make_desired(7).to_json()
    assert run(ConsulExecChefOperator, **TIER, command="true") == {"web-1": 0}
    [(duration, tags)] = stats.of("chefconsul.nudge.duration")
    assert timedelta(0) < duration < timedelta(minutes=1)
    assert tags == IN_DEMO
    policy = ConvergencePolicy(timeout=timedelta(seconds=4))  # nobody reports
    with pytest.raises(AirflowSensorTimeout):
        run(TransitionOperator, **TIER, state="off", command="true", nudge_after=timedelta(0), policy=policy)
    assert [tags for _, tags in stats.of("chefconsul.nudge.duration")] == [IN_DEMO, IN_DEMO]


@pytest.mark.usefixtures("consul_connection", "consul_kv")
def test_stale_write(stats):
    """Skipped or failed, it is counted."""
    options = {**TIER, "task_id": "t", "allow_empty": True, "on_stale": "fail"}
    SetDesiredStateOperator(**options, state="off", sequence=2).execute(make_context())
    with pytest.raises(AirflowFailException):
        SetDesiredStateOperator(**options, state="on", sequence=1).execute(make_context())
    assert stats.of("chefconsul.write.stale") == [(1, IN_DEMO)]


@pytest.mark.usefixtures("consul_connection")
def test_takeover(run, stats, consul_kv):
    """Of a lease that nobody renews; to take a free one is none."""
    run(AcquireLeaseOperator, environment="demo")
    assert stats.seen == []
    other = DagRun("another", "manual__2")
    consul_kv["demo/_lease"] = make_lease(holder=other, ttl=timedelta(seconds=1)).to_json()
    run(AcquireLeaseOperator, environment="demo")
    assert stats.of("chefconsul.lease.takeovers") == [(1, IN_DEMO)]


@pytest.mark.usefixtures("consul_connection")
def test_frozen_wait(stats, consul_kv):
    """When it begins; a task that fails instead does not wait."""
    consul_kv["demo/web/locks/migrate"] = "{}"
    FreezeOperator(task_id="f", **TIER, reason="evening").execute(make_context(dag_id="operate"))
    options = {**TIER, "task_id": "t", "state": "off", "allow_empty": True}
    with pytest.raises(Exception, match="frozen by"):
        SetDesiredStateOperator(**options, on_frozen="fail").execute(make_context())
    assert stats.seen == []
    operator = SetDesiredStateOperator(**options, deferrable=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
        with pytest.raises(TaskDeferred):
            operator.execute(make_context())
    assert stats.of("chefconsul.freeze.waits") == [(1, IN_DEMO)]


@pytest.mark.usefixtures("consul_connection")
def test_drift(stats, consul_kv, members):
    """Of each tier that was audited, also of those that match, and of those that nobody can judge."""
    members("web-1")
    members("app-1", tier="app")
    consul_kv["demo/web/desired"] = make_desired().to_json()
    consul_kv["demo/web/nodes/web-1"] = make_failure("web-1").to_json()
    consul_kv["demo/app/desired"] = make_desired().to_json()
    consul_kv["demo/app/nodes/app-1"] = make_report("app-1", tier="app").to_json()
    consul_kv["demo/db/desired"] = "{"
    with pytest.raises(Drifted):
        DriftAuditOperator(task_id="audit").execute(make_context())
    tags = [{**IN_DEMO, "tier": tier} for tier in ("app", "db", "web")]
    assert stats.of("chefconsul.drift.nodes") == list(zip([0, 0, 1], tags, strict=True))
    assert stats.of("chefconsul.drift.unknown") == list(zip([0, 1, 0], tags, strict=True))


def test_page_names_all(tmp_path):
    """As the module that measures has them; the three rules use no other."""
    import airflow_provider_chefconsul.triggers.metrics as measured

    named = set(re.findall(r"^\| `(chefconsul\.[a-z.]+)` \|", PAGE, flags=re.MULTILINE))
    source = Path(measured.__file__).read_text()
    assert named == {f"chefconsul.{name}" for name in re.findall(r"\{_PREFIX\}\.([a-z.]+)\"", source)}
    rules = re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)[1]
    used = set(re.findall(r"airflow_(chefconsul_[a-z_]+)", rules))
    assert used <= {name.replace(".", "_") for name in named}
    assert rules.count("- alert:") == 3
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, of Debian's package prometheus, is not there")
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "test.yml").write_text(ALERTS)
    for words in (["check", "rules", "rules.yml"], ["test", "rules", "test.yml"]):
        checked = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


ALERTS = """
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'airflow_chefconsul_nodes{environment="demo",tier="web",standing="failed"}'
        values: '0x9 2x20'
      - series: 'airflow_chefconsul_drift_nodes{environment="demo",tier="app"}'
        values: '1x30'
      - series: 'airflow_chefconsul_drift_unknown{environment="demo",tier="app"}'
        values: '0x30'
      - series: 'airflow_chefconsul_drift_nodes{environment="demo",tier="db"}'
        values: '0x30'
      - series: 'airflow_chefconsul_drift_unknown{environment="demo",tier="db"}'
        values: '1x30'
      - series: 'airflow_chefconsul_drift_nodes{environment="demo",tier="web"}'
        values: '0x30'
      - series: 'airflow_chefconsul_drift_unknown{environment="demo",tier="web"}'
        values: '0x30'
    alert_rule_test:
      - eval_time: 9m
        alertname: ChefconsulNodesFailed
      - eval_time: 20m
        alertname: ChefconsulNodesFailed
        exp_alerts: [{exp_labels: {environment: demo, tier: web, severity: page}}]
      - eval_time: 20m
        alertname: ChefconsulDrift
        exp_alerts:
          - {exp_labels: {environment: demo, tier: app, severity: ticket}}
          - {exp_labels: {environment: demo, tier: db, severity: ticket}}
  - interval: 1m
    input_series:
      - series: 'airflow_chefconsul_lease_takeovers{environment="demo"}'
        values: '_x90 1x90'
      - series: 'airflow_chefconsul_lease_takeovers{environment="old"}'
        values: '3x180'
    alert_rule_test:
      - eval_time: 89m
        alertname: ChefconsulLeaseTakenOver
      - eval_time: 100m
        alertname: ChefconsulLeaseTakenOver
        exp_alerts: [{exp_labels: {environment: demo, severity: ticket}}]
"""
