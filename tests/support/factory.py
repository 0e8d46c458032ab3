"""Domain objects for tests: sensible defaults, with overrides for what a test is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_chefconsul.domain.model.desired import Assignment, Canary, DesiredState
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.membership import Member, Members, Presence
from airflow_provider_chefconsul.domain.model.report import NodeReport, RunError, Status
from airflow_provider_chefconsul.domain.model.snapshot import Evidence, TierSnapshot
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.convergence import Verdict
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Basis

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def make_writer(**overrides: Any) -> Writer:
    """A task instance."""
    return Writer(**{"dag_id": "shop_rollout", "run_id": "manual__1", "task_id": "web.set"} | overrides)


def make_assignment(generation: int = 7, **overrides: Any) -> Assignment:
    """An assignment of generation 7, unless overridden."""
    defaults: dict[str, Any] = {"generation": generation, "state": "converged", "values": {"release": "2.5.0"}}
    return Assignment(**defaults | overrides)


def make_desired(generation: int = 7, **overrides: Any) -> DesiredState:
    """A tier's desired state without a canary."""
    defaults: dict[str, Any] = {
        "generation": generation,
        "stable": make_assignment(generation),
        "written_by": make_writer(),
        "written_at": "2026-11-22T08:00:00Z",
        "sequence": 1763769600,
    }
    return DesiredState(**defaults | overrides)


def make_canary(generation: int = 8, **overrides: Any) -> Canary:
    """A canary of the next release that covers web-1."""
    assignment = make_assignment(generation, values={"release": "2.6.0"})
    defaults: dict[str, Any] = {"assignment": assignment, "salt": str(generation), "threshold": 0, "nodes": ("web-1",)}
    return Canary(**defaults | overrides)


def make_change(**overrides: Any) -> Change:
    """The change that leads to the content of :func:`make_desired`."""
    defaults: dict[str, Any] = {
        "state": "converged",
        "values": {"release": "2.5.0"},
        "writer": make_writer(),
        "sequence": 1763769600,
    }
    return Change(**defaults | overrides)


def make_basis(current: DesiredState | None = None, **overrides: Any) -> Basis:
    """The basis of a plan, an hour after :func:`make_desired` was written."""
    return Basis(current, **{"written_at": "2026-11-22T09:00:00Z"} | overrides)


def make_members(*nodes: str, absent: Any = (), **overrides: Any) -> Members:
    """Members of a tier; overrides apply to each."""
    return {
        node: Member(node, **{"presence": Presence.FAILED if node in absent else Presence.ALIVE} | overrides)
        for node in [*nodes, *absent]
    }


def make_lease(**overrides: Any) -> Lease:
    """The lease of :func:`make_writer`'s Dag run."""
    defaults: dict[str, Any] = {
        "holder": DagRun.of(make_writer()),
        "ttl": timedelta(minutes=5),
        "acquired_at": "2026-11-22T08:00:00Z",
        "expires_at": "2026-11-22T08:05:00Z",
        "reason": "upgrade to 2.5.0",
    }
    return Lease(**defaults | overrides)


def make_report(node: str = "web-1", **overrides: Any) -> NodeReport:
    """The report of a node that converged on :func:`make_desired`."""
    defaults: dict[str, Any] = {
        "node": node,
        "tier": "web",
        "generation": 7,
        "state": "converged",
        "status": Status.SUCCEEDED,
        "run_id": "3039",
        "started_at": "2026-11-22T08:00:01Z",
        "finished_at": "2026-11-22T08:00:09Z",
        "client": "chef 18.5.0",
    }
    return NodeReport(**defaults | overrides)


def make_failure(node: str = "web-1", **overrides: Any) -> NodeReport:
    """The report of a node whose run failed."""
    error = RunError("Errno::ENOSPC", "No space left on device", "file[/srv/web/index.html]")
    return make_report(node, **{"status": Status.FAILED, "error": error} | overrides)


def make_ticket(node: str = "web-1", **overrides: Any) -> Ticket:
    """The ticket of a node that waits for a slot to converge on :func:`make_desired`."""
    defaults: dict[str, Any] = {
        "node": node,
        "node_id": None,
        "run_id": "3039",
        "generation": 7,
        "id": None,
        "group": "",
        "since": "2026-11-22T08:00:01Z",
        "held_since": None,
        "ttl": 600,
    }
    return Ticket(**defaults | overrides)


def make_policy(**overrides: Any) -> ConvergencePolicy:
    """A policy that requires all members and allows no failure."""
    return ConvergencePolicy(**overrides)


def make_wait(generation: int = 7, **overrides: Any) -> Wait:
    """A wait that begins now, with ten minutes until its deadline."""
    defaults: dict[str, Any] = {"generation": generation, "deadline": NOW + timedelta(minutes=10)}
    return Wait(**defaults | overrides)


def seen(wait: Wait, *snapshots: TierSnapshot, now: datetime = NOW) -> Wait:
    """A wait that has observed these snapshots."""
    for snapshot in snapshots:
        wait = wait._remember(snapshot, None, now=now)
    return wait


def verdict_of(
    snapshot: TierSnapshot, wait: Wait | None = None, policy: ConvergencePolicy | None = None, *, now: datetime = NOW
) -> Verdict:
    """The verdict on one observation."""
    return (wait or make_wait()).observe(snapshot, policy or make_policy(), now=now)[1]


def make_unreadable(key: str = "k", problem: str = "not JSON") -> Unreadable:
    """The value in place of an unreadable document."""
    return Unreadable(key, problem)


def make_snapshot(
    *reports: Any, members: Any = ("web-1", "web-2", "web-3"), absent: Any = (), **overrides: Any
) -> TierSnapshot:
    """A tier of three present members; reports are given as such, or as (node, Unreadable) for a malformed one."""
    evidence = {}
    for index, report in enumerate(reports, start=100):
        node = report.node if isinstance(report, NodeReport) else report[0]
        evidence[node] = Evidence(report if isinstance(report, NodeReport) else report[1], index)
    everyone = make_members(*members, absent=absent)
    defaults: dict[str, Any] = {"desired": make_desired(), "members": everyone, "evidence": evidence}
    return TierSnapshot(**defaults | overrides)
