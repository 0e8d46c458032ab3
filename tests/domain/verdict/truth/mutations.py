"""Faults that were fixed, brought back one at a time: the model must find each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.membership import Member
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.model.snapshot import Evidence, TierSnapshot
from airflow_provider_chefconsul.domain.verdict import wait as wait_module
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing, judge
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from tests.domain.verdict.truth import node
from tests.domain.verdict.truth.waiter import FALSE_GREEN, FALSE_RED
from tests.domain.verdict.truth.world import World

Patch = AbstractContextManager[Any]


def _judge(change: Callable[[NodeStatus, Member, Evidence | None, bool], Standing | None]) -> Patch:
    """Judge members differently.

    :param change: takes the right status, the member, its evidence, and whether it had converged before.
    """

    def judge_wrongly(
        member: Member, desired: DesiredState, evidence: Evidence | None, *, has_converged_before: bool, **history: Any
    ) -> NodeStatus:
        judged = judge(member, desired, evidence, has_converged_before=has_converged_before, **history)
        return replace(judged, standing=change(judged, member, evidence, has_converged_before))

    return patch.object(wait_module, "judge", judge_wrongly)


def _mistake(old: Standing, new: Standing) -> Callable[[], Patch]:
    """Mistake one standing for another."""
    return lambda: _judge(lambda judged, *_: new if judged.standing is old else judged.standing)


def _pretend(**history: Any) -> Callable[[], Patch]:
    """Judge members by a false history."""
    return lambda: patch.object(wait_module, "judge", lambda *of, **known: judge(*of, **known | history))


@contextmanager
def _let_seen_converged_grow() -> Iterator[None]:
    remember_rightly = Wait._remember

    def remember(wait: Wait, snapshot: TierSnapshot, changed: Collection[str] | None, *, now: datetime) -> Wait:
        seen = remember_rightly(wait, snapshot, changed, now=now)
        return replace(seen, still_converged=seen.seen_converged)

    def change(
        judged: NodeStatus, member: Member, _evidence: Evidence | None, has_converged_before: bool
    ) -> Standing | None:
        if not has_converged_before or judged.report is None:
            return judged.standing
        is_on = judged.report.status in {Status.RUNNING, Status.REBOOTING}
        return Standing.CONVERGED if is_on and member.is_present else judged.standing

    with patch.object(Wait, "_remember", remember), _judge(change):
        yield


def _excuse_the_dead() -> Patch:
    return _judge(lambda judged, member, *_: judged.standing if member.is_present else Standing.ABSENT)


def _let_unread_pass() -> Patch:
    return patch.object(NodeStatus, "unreadable", property(lambda _: None))


def _forget_behind_unfinished(before: NodeReport | None, assignment: Assignment) -> Status | None:
    return before.status if before is not None and before.is_about(assignment) else None


MUTATIONS: dict[str, tuple[Callable[[], Patch], str, int]] = {
    "a node that converged once stays converged": (_let_seen_converged_grow, FALSE_GREEN, 121),
    "a node that is not alive is absent, whatever it reported": (_excuse_the_dead, FALSE_GREEN, 83),
    "a node that converged or ran, then died, is absent": (_mistake(Standing.LOST, Standing.ABSENT), FALSE_GREEN, 332),
    "a node that was alive during the wait, then died, is absent": (_pretend(was_seen_alive=False), FALSE_GREEN, 1174),
    "lost nodes count only towards min_converged": (_mistake(Standing.LOST, Standing.RUNNING), FALSE_GREEN, 274),
    "a node without its service has left": (lambda: patch.object(World, "lists_strays", new=False), FALSE_GREEN, 169),
    "an unknown node has left": (_mistake(Standing.UNKNOWN, Standing.LEFT), FALSE_GREEN, 83),
    "a rebooting node has converged": (_mistake(Standing.REBOOTING, Standing.CONVERGED), FALSE_GREEN, 592),
    "a running node has converged": (_mistake(Standing.RUNNING, Standing.CONVERGED), FALSE_GREEN, 5),
    "an unhealthy node has converged": (_mistake(Standing.UNHEALTHY, Standing.CONVERGED), FALSE_GREEN, 169),
    "reports count for any assignment with their generation": (
        lambda: patch.object(NodeReport, "is_about", lambda report, assigned: report.generation == assigned.generation),
        FALSE_GREEN,
        578,
    ),
    "waits accept any assignment with their generation": (
        lambda: patch.object(Wait, "find_replaced", lambda *_: None),
        FALSE_GREEN,
        51,
    ),
    "reports count for any machine of the name": (
        lambda: patch.object(NodeReport, "is_of_other_machine", lambda *_: False),
        FALSE_GREEN,
        121,
    ),
    "a machine trusts the report of an earlier machine of its name": (
        lambda: patch.object(node, "is_by_other", lambda *_: False),
        FALSE_GREEN,
        121,
    ),
    "failures before this try are forgotten": (_mistake(Standing.FAILED_EARLIER, Standing.RUNNING), FALSE_GREEN, 189),
    "failures vanish behind the next run": (
        lambda: patch.object(NodeReport, "is_after_failure", new=False),
        FALSE_GREEN,
        274,
    ),
    "failures vanish behind runs that never finish": (
        lambda: patch.object(node, "previous_status", _forget_behind_unfinished),
        FALSE_GREEN,
        435,
    ),
    "failures vanish behind runs that began without Consul": (
        lambda: patch.object(World, "looks_late", new=False),
        FALSE_GREEN,
        457,
    ),
    "failures vanish behind unreadable reports": (_let_unread_pass, FALSE_GREEN, 1740),
    "a wait for all nodes sees only the canary's": (
        lambda: patch.object(Wait, "generations", property(lambda wait: frozenset({wait.generation}))),
        FALSE_GREEN,
        252,
    ),
    "an interrupted node has failed": (_mistake(Standing.INTERRUPTED, Standing.FAILED), FALSE_RED, 8),
    "a lost node has failed": (_mistake(Standing.LOST, Standing.FAILED), FALSE_RED, 0),
    "failures before this try fail it": (_pretend(failures_after=0), FALSE_RED, 4),
}
"""By name: the patch that brings the fault back, the kind of wrong verdict, and a seed from which a test searches."""
