"""Every public name as a Dag author uses it. mypy checks the types, so a name that turns into Any is an error here."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import assert_type

from airflow.sdk import DAG, Asset, BaseOperator, TaskGroup, chain
from consul.std import Consul

import airflow_provider_chefconsul
from airflow_provider_chefconsul import (
    AbortOperator,
    AcquireLeaseOperator,
    ApproveWaveOperator,
    BreakLeaseOperator,
    ChangeWindow,
    CheckRolloutEndOperator,
    ChefConsulError,
    ConsulExecChefOperator,
    ConsulHook,
    ConvergedSensor,
    ConvergencePolicy,
    DriftAuditOperator,
    FreezeOperator,
    MetricGateOperator,
    NextWave,
    PromoteOperator,
    ReadConvergedValuesOperator,
    ReleaseLeaseOperator,
    RollBackOperator,
    RolloutNotifier,
    SetDesiredStateOperator,
    SSHChefOperator,
    StateModel,
    TransitionOperator,
    TransitionsOperator,
    UnfreezeOperator,
    desired_state_changed,
    rollout,
    tier_converged,
    transition,
    transitions,
)

assert_type(airflow_provider_chefconsul.__version__, str)

POLICY = ConvergencePolicy(
    min_converged="90%",
    max_failed=1,
    max_lost=0,
    max_absent=None,
    min_members=2,
    min_healthy_time=timedelta(seconds=30),
)
assert_type(POLICY.timeout, timedelta)
assert_type(POLICY.progress_deadline, timedelta | None)

WINDOW = ChangeWindow("Mon-Thu 09:00-16:00", timezone="Europe/Berlin", holidays=["2026-12-24", date(2026, 12, 25)])
assert_type(WINDOW.next_opening(datetime(2026, 12, 24, tzinfo=UTC)), datetime)

MODEL = StateModel(states=["off", "converged"], transitions=[("off", "converged"), ("converged", "off")])
assert_type(MODEL.allowed_from("off"), list[str | None])

assert_type(tier_converged("demo", ["web", "db"], state="converged", policy=POLICY), Asset)
assert_type(desired_state_changed("demo"), Asset)


def ask_metrics(wave: NextWave) -> MetricGateOperator:
    """A gate that knows its wave."""
    assert_type(NextWave("demo", "web", "off", 2, 3, "25%").size, int | str | list[str])
    return MetricGateOperator(
        task_id="metrics",
        environment=wave.environment,
        query=f'sum(rate(errors{{tier="{wave.tier}"}}[1m]))',
        condition="< 0.01",
        count=5,
        interval=timedelta(seconds=30),
        inconclusive_limit=1,
    )


with DAG("api", schedule=[tier_converged("demo"), desired_state_changed("demo", "web")]) as dag:
    acquire = AcquireLeaseOperator(task_id="acquire", environment="demo", ttl=timedelta(minutes=5), reason="upgrade")
    release = ReleaseLeaseOperator(task_id="release", environment="demo")
    declare = SetDesiredStateOperator(
        task_id="declare",
        environment="demo",
        tier=["web", "app"],
        state="converged",
        values={"release": "2.5.0", "replicas": 3, "debug": False},
        canary="10%",
        allowed_from=[None, "off"],
        sequence="{{ ts }}",
        wait=POLICY,
    )
    nudge = ConsulExecChefOperator(
        task_id="nudge", environment="demo", tier="web", generation=declare.output, max_parallel=2
    )
    nudge_by_ssh = SSHChefOperator(task_id="ssh", environment="demo", tier="web", members="meta:role=web")
    wait = ConvergedSensor(task_id="wait", environment="demo", tier="web", policy=POLICY, generation=declare.output)
    approve = ApproveWaveOperator(
        task_id="approve", environment="demo", tier="web", state="converged", canary="50%", wave=2, waves=3
    )
    freeze = FreezeOperator(task_id="freeze", environment="demo", tier=["web"], reason="evening", until="{{ ts }}")
    unfreeze = UnfreezeOperator(task_id="unfreeze", environment="demo")
    promote = PromoteOperator(task_id="promote", environment="demo", tier="web", reason="it looks fine")
    abort = AbortOperator(task_id="abort", environment="demo", tier=["web"], reason="errors")
    seize = BreakLeaseOperator(task_id="seize", environment="demo", reason="its worker burned down")
    chain(freeze, unfreeze, promote, abort, seize)
    roll_back = RollBackOperator(task_id="roll_back", environment="demo", tier=["web", "app"], to=41, wait=POLICY)
    check = CheckRolloutEndOperator(task_id="check", environment="demo", tier="web", written_by=["wave_1"])
    audit = DriftAuditOperator(task_id="audit", environment="demo", max_drifted="5%")

    single = transition("demo", "web", "off", {"release": "2.5.0"}, policy=POLICY, model=MODEL, command=None)
    several = transitions("demo", [("web", "off"), (["web", "app"], "converged")], model=MODEL)
    at_once = TransitionsOperator(
        task_id="all", environment="demo", steps=[("web", "off")], model=MODEL, policy=POLICY, window=WINDOW
    )
    moved = TransitionOperator(task_id="moved", environment="demo", tier="web", state="off", command=None)
    read = ReadConvergedValuesOperator(task_id="read", environment="staging", tier="web", min_age=timedelta(hours=1))
    transition("production", "web", "converged", read.output, on_failure_callback=RolloutNotifier(print))
    waves = rollout(
        "demo", "web", "converged", waves=[1, "25%", ["web-7"], "100%"], auto_revert=True, approval=True, window=WINDOW
    )
    gated = rollout("demo", "app", "converged", waves=[1, "100%"], gate=ask_metrics)
    assert_type(single, TransitionOperator | TaskGroup)
    assert_type(several, list[BaseOperator | TaskGroup])
    assert_type(waves, TaskGroup)
    chain(acquire, declare, [nudge, nudge_by_ssh], wait, approve, single, *several, waves, roll_back, audit, release)
    chain(moved, at_once, gated, check)


def open_client(hook: ConsulHook) -> Consul | str:
    """Use py-consul's own client, and the errors' root."""
    try:
        return hook.get_conn()
    except ChefConsulError as error:
        return str(error)


def misuse() -> None:
    """Each of these is an error to mypy, which also reports an "ignore" that it does not need."""
    _ = airflow_provider_chefconsul.no_such_name  # type: ignore[attr-defined]
    AbortOperator(task_id="t", environment="demo", tier=1, reason="x")  # type: ignore[arg-type]
    AcquireLeaseOperator(task_id="t", environment=1)  # type: ignore[arg-type]
    ApproveWaveOperator(task_id="t", environment="demo", tier="web", state="off", wave="2", waves=3)  # type: ignore[arg-type]
    BreakLeaseOperator(task_id="t", environment="demo", reason=None)  # type: ignore[arg-type]
    _ = ChefConsulError().problem  # type: ignore[attr-defined]
    CheckRolloutEndOperator(task_id="t", environment="demo", tier="web", written_by=None)  # type: ignore[arg-type]
    ChangeWindow("Mon 09:00-16:00")  # type: ignore[call-arg]
    ConsulExecChefOperator(task_id="t", environment="demo", tier="web", max_parallel="2")  # type: ignore[arg-type]
    ConsulHook(consul_conn_id=None)  # type: ignore[arg-type]
    ConvergedSensor(task_id="t", environment="demo", tier="web", policy="100%")  # type: ignore[arg-type]
    ConvergencePolicy(timeout=60)  # type: ignore[arg-type]
    DriftAuditOperator(task_id="t", max_drifted=0.5)  # type: ignore[arg-type]
    FreezeOperator(task_id="t", environment="demo", reason=None)  # type: ignore[arg-type]
    PromoteOperator(task_id="t", environment="demo", tier=1)  # type: ignore[arg-type]
    MetricGateOperator(task_id="t", environment="demo", query="up", condition="< 1", interval=60)  # type: ignore[arg-type]
    NextWave("demo", "web", "off", "2", 3, "25%")  # type: ignore[arg-type]
    ReadConvergedValuesOperator(task_id="t", environment="demo", tier="web", min_age=60)  # type: ignore[arg-type]
    ReleaseLeaseOperator(task_id="t", environment=1)  # type: ignore[arg-type]
    RollBackOperator(task_id="t", environment="demo", tier="web", to=None)  # type: ignore[arg-type]
    RolloutNotifier("a channel")  # type: ignore[arg-type]
    SSHChefOperator(task_id="t", environment="demo", tier="web", timeout=60)  # type: ignore[arg-type]
    SetDesiredStateOperator(task_id="t", environment="demo", tier="web", state=1)  # type: ignore[arg-type]
    StateModel(states=["off"], transitions=["off"])  # type: ignore[list-item]
    TransitionOperator(task_id="t", environment="demo", tier="web", state="off", nudge_after=3)  # type: ignore[arg-type]
    TransitionsOperator(task_id="t", environment="demo", steps=["web"])  # type: ignore[list-item]
    desired_state_changed("demo", 1)  # type: ignore[arg-type]
    rollout("demo", "web", "off", waves=2)  # type: ignore[arg-type]
    rollout("demo", "web", "off", gate=lambda wave: None)  # type: ignore[arg-type, return-value]
    tier_converged("demo", policy="100%")  # type: ignore[arg-type]
    rollout("demo", "web", "off", slots=0.5)  # type: ignore[arg-type]
    transition("demo", "web", "off", max_parallel="2")  # type: ignore[arg-type]
    transitions("demo", [("web", 1)])  # type: ignore[list-item]
    UnfreezeOperator(task_id="t", environment=1)  # type: ignore[arg-type]
