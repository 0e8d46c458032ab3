"""The wait under test: looks at the tier now and then, is restarted, tries again, and is checked against the truth."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.explanation.tier import describe_counts
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed, Waiting
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from tests.domain.verdict.truth.oracle import Oracle, Truth
from tests.domain.verdict.truth.world import World

FALSE_GREEN, FALSE_RED, MISSED_GREEN, FALSE_STANDING = "false green", "false red", "missed green", "false standing"
DIFFERS_FROM_WHOLE = "judging what has changed differs from judging everything"


@dataclass
class Waiter:
    """One wait at a time.

    :param is_weak: whether older clients take part: facts that they do not report may hold up a wait.
    :param tally: counts verdicts and faults.
    :param faults: the kind of each, and the text of the verdict.
    """

    policy: ConvergencePolicy
    is_weak: bool = False
    tally: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)
    wait: Wait | None = None
    oracle: Oracle | None = None

    def begin(self, world: World, now: datetime, choice: int, way: int) -> None:
        """A wait begins; it replaces one in progress."""
        if world.declared is None or world.is_spoilt:
            return
        canary = world.declared.document.canary
        assigned = {world.declared.document.stable.generation} | ({canary.assignment.generation} if canary else set())
        if choice % 2:  # a generation is given
            assigned = {sorted(assigned)[choice // 2 % len(assigned)]}
        self._begin(frozenset(assigned), world.index if way % 3 == 0 else 0, now)

    def try_again(self, world: World, now: datetime) -> None:
        """The same wait starts over: earlier failures are history."""
        if self.oracle is not None:
            self._begin(self.oracle.generations, world.index, now)

    def restart(self) -> None:
        """The wait moves to another process."""
        if self.wait is not None:
            self.wait = Wait.from_fields(json.loads(json.dumps(self.wait.to_fields())))

    def suffer_outage(self) -> None:
        """Consul was unavailable."""
        if self.wait is not None and self.oracle is not None:
            self.wait = replace(self.wait, holding_since=None)
            self.oracle.interrupt()

    def look(self, world: World, now: datetime) -> None:
        """Observe the tier, as the loop of a wait does, and compare the verdict with the truth."""
        if self.wait is None or self.oracle is None:
            return
        snapshot = world.snapshot(self.wait.seen_members, self.oracle.listed)
        truth = self.oracle.look(world, set(snapshot.members), now)
        whole = replace(self.wait, last=None).observe(snapshot, self.policy, now=now)
        self.wait, verdict = self.wait.observe(snapshot, self.policy, now=now)
        self._check(DIFFERS_FROM_WHOLE, f"{verdict} differs from {whole[1]}", is_right=(self.wait, verdict) == whole)
        self.tally["looks"] += 1
        match verdict:
            case Converged():
                self.tally["greens"] += 1
                self._check(FALSE_GREEN, describe_counts(verdict.status), is_right=truth.may_be_green)
                self._count_news(world, truth)
            case Failed():
                self.tally["reds"] += 1
                is_right = not truth.must_be_green if verdict.is_timeout else truth.may_be_red
                self._check(FALSE_RED, verdict.reason, is_right=is_right)
            case Waiting():
                is_right = self.is_weak or not truth.must_be_green
                self._check(MISSED_GREEN, describe_counts(verdict.status), is_right=is_right)
        for node, status in verdict.status.nodes.items():
            fact = truth.facts.get(node)
            is_right = fact is None or (
                (not status.has_converged or fact.has) and (status.standing is not Standing.FAILED or fact.failed)
            )
            self._check(FALSE_STANDING, f"{node} {status.standing} {describe_reason(status)}", is_right=is_right)
        if not isinstance(verdict, Waiting):
            self.wait = None

    def _begin(self, generations: frozenset[int], failures_after: int, now: datetime) -> None:
        newest = max(generations)
        others = generations - {newest}
        self.wait = Wait(newest, now + self.policy.timeout, failures_after, others=others)
        self.oracle = Oracle(self.policy, generations, newest, failures_after, now)

    def _check(self, kind: str, text: str, *, is_right: bool) -> None:
        if not is_right:
            self.tally[kind] += 1
            self.faults.append((kind, text))

    def _count_news(self, world: World, truth: Truth) -> None:
        """Count greens that nobody could have known to be false: a report is late or lost, or a death unnoticed."""
        declared = world.declared
        if declared is None:
            return
        for node, fact in truth.facts.items():
            machine = world.machines.get(node)
            if machine and fact.has and (not machine.is_up or machine.really_has != declared.number_for(node)):
                self.tally["greens that later news refutes"] += 1
                return


def minutes(number: float) -> timedelta:
    """A duration of so many minutes."""
    return timedelta(minutes=number)
