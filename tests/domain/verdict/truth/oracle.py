"""Computes which verdicts are right, without using the code that gives them.

A wait knows only what is in Consul. So a node counts as what it was when it wrote its report there: lost and late
reports are nobody's fault. Facts that older clients do not report are not held against a wait either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.count import Count
from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from tests.domain.verdict.truth.world import Declared, Post, World

_UNFINISHED = (Status.RUNNING, Status.REBOOTING, Status.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Fact:
    """What is true of one member of a tier.

    :param has: it has its assignment, its agent is alive, and its checks pass if the policy requires that.
    :param shows: its report says so, too.
    :param failed: its last finished run on the assignment failed.
    :param is_fresh: it failed during this try.
    :param is_unread: its report cannot be read.
    :param is_judged: it has the assignment that the wait is about.
    """

    has: bool = False
    shows: bool = False
    failed: bool = False
    is_fresh: bool = False
    is_unread: bool = False
    is_lost: bool = False
    is_excused: bool = False
    is_unknown: bool = False
    is_judged: bool = True


@dataclass(frozen=True, slots=True)
class Truth:
    """Which verdicts are right at one point in time.

    :param may_be_green: what Converged promises is true.
    :param must_be_green: the reports show it, too.
    :param may_be_red: there is a reason to fail before the deadline.
    """

    facts: dict[str, Fact]
    may_be_green: bool
    must_be_green: bool
    may_be_red: bool


@dataclass
class Oracle:
    """Observes the tier whenever the waiter does, but knows the truth; one for each try."""

    policy: ConvergencePolicy
    generations: frozenset[int]
    newest: int
    failures_after: int
    began: datetime
    awaited: dict[int, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    alive: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    known: dict[str, tuple[bool, Post]] = field(default_factory=dict)
    ever_shown: set[str] = field(default_factory=set)
    progressed_at: datetime | None = None
    true_since: datetime | None = None
    shown_since: datetime | None = None

    def interrupt(self) -> None:
        """Consul was unavailable for a while."""
        self.true_since = self.shown_since = None

    def look(self, world: World, members: set[str], now: datetime) -> Truth:
        """Observe what the waiter sees, and compute what is true of it."""
        self._see(world, members)
        self.progressed_at = self.progressed_at or now
        declared = world.declared
        if declared is None or world.is_spoilt:
            self.interrupt()
            return Truth({}, may_be_green=False, must_be_green=False, may_be_red=True)
        is_replaced = self._await(world, declared)
        facts = {node: self._find(world, declared, node) for node in self.seen}
        if shown := {node for node, post in world.posts.items() if self._shows_alone(world, declared, node, post)}:
            self.progressed_at = self.progressed_at if shown <= self.ever_shown else now
            self.ever_shown |= shown
        true, shows, is_spent = self._weigh(declared, facts)
        self.true_since = (self.true_since or now) if true and not is_replaced else None
        self.shown_since = (self.shown_since or now) if shows and not is_replaced else None
        limit = self.policy.progress_deadline
        is_stalled = limit is not None and now >= self.progressed_at + limit and not shows
        return Truth(
            facts,
            self._held(self.true_since, now),
            self._held(self.shown_since, now),
            is_replaced or not facts or is_spent or is_stalled,
        )

    def _held(self, since: datetime | None, now: datetime) -> bool:
        return since is not None and now - since >= self.policy.min_healthy_time

    def _see(self, world: World, members: set[str]) -> None:
        self.seen |= members
        self.alive |= {node for node in members if node in world.catalog and world.catalog[node].is_alive}
        self.listed |= {node for node in members if node in world.catalog}

    def _await(self, world: World, declared: Declared) -> bool:
        """Whether the awaited assignments, which the first look determines, are no longer assigned."""
        assigned = {
            world.assignments[number].generation: number
            for number in (declared.stable, declared.canary)
            if number is not None
        }
        for generation in self.generations & assigned.keys():
            number = assigned[generation]
            first = self.awaited.setdefault(generation, number)
            if not _is_same(world.assignments[first], world.assignments[number]):
                return True
        return self.newest not in assigned

    def _find(self, world: World, declared: Declared, node: str) -> Fact:
        entry, post = world.catalog.get(node), world.posts.get(node)
        is_alive = entry is not None and entry.is_alive
        assignment = world.assignments[declared.number_for(node)]
        if assignment.generation not in self.generations:
            return Fact(is_excused=not is_alive, is_judged=False)
        has = shows = failed = is_midway = is_fresh = is_unread = False
        if post is not None and not self._is_of_other(world, node, post):
            has, failed, is_midway = self._believe(world, node, post, assignment)
            is_unread = post.is_spoilt
            is_fresh = self.failures_after == 0 or post.index > self.failures_after
            shows = has and not is_unread and _shows(post)
        is_well = is_alive and not (self.policy.min_healthy_time > timedelta(0) and entry and entry.is_sick)
        is_lost = is_excused = is_unknown = False
        if not is_alive and (is_unread or not failed):
            if is_unread or is_midway or (entry is not None and (has or node in self.alive)):
                is_lost = True
            elif entry is None and world.listed is not None and node not in self.listed and post is None:
                is_unknown = True
            else:
                is_excused = True
        return Fact(has and is_well, shows and is_well, failed, is_fresh, is_unread, is_lost, is_excused, is_unknown)

    def _believe(self, world: World, node: str, post: Post, assignment: Assignment) -> tuple[bool, bool, bool]:
        """Whether a node has its assignment, failed on it, or is in the middle of it, according to its report."""
        record, report = post.letter.record, post.letter.report

        def is_it(number: int | None, state: str | None = None) -> bool:
            return number is not None and _is_same(
                world.assignments[number], assignment, has_id=report.id is not None, state=state
            )

        has, failed = is_it(record.has, report.state), is_it(record.failed)
        is_midway = is_it(record.begun) and report.status in _UNFINISHED
        if is_midway and report.id is None:  # assignments with the same generation and no ids cannot be told apart
            if report.previous_status is None:
                before = self.known.get(node)
                has, failed = before is not None and before[0], False
            else:
                has = has or report.previous_status is Status.SUCCEEDED
                failed = failed or report.previous_status is Status.FAILED
        return has, failed, is_midway

    def _shows_alone(self, world: World, declared: Declared, node: str, post: Post) -> bool:
        """Whether a report says that its node has its assignment, whatever became of the node; remembers the answer."""
        assignment = world.assignments[declared.number_for(node)]
        is_meant = assignment.generation in self.generations and not self._is_of_other(world, node, post)
        has = is_meant and not post.is_spoilt and self._believe(world, node, post, assignment)[0] and _shows(post)
        self.known[node] = (has, post)
        return has

    def _weigh(self, declared: Declared, facts: dict[str, Fact]) -> tuple[bool, bool, bool]:
        """Whether the policy is truly met, whether the reports show it, and whether failures exceed the policy."""
        policy, judged = self.policy, [fact for fact in facts.values() if fact.is_judged]
        excused = sum(fact.is_excused for fact in facts.values())
        present, all_present = len(judged) - sum(fact.is_excused for fact in judged), len(facts) - excused
        needed = max(_part(policy.min_converged, present, up=True), policy.min_members)
        canary = declared.document.canary
        if canary is not None and self.generations == {canary.assignment.generation}:
            needed = min(needed, max(len(judged), 1))
        may_fail = _part(policy.max_failed, all_present)
        failed = sum(fact.failed for fact in judged)
        others = (
            sum(fact.is_lost for fact in judged) <= _part(policy.max_lost, all_present)
            and not any(fact.is_unknown for fact in judged)
            and (policy.max_absent is None or excused <= _part(policy.max_absent, len(facts)))
        )
        doubted = sum(fact.failed or fact.is_unread for fact in judged)
        unread = any(fact.is_unread for fact in judged)
        true = others and failed <= may_fail and sum(fact.has for fact in judged) >= needed
        shows = others and sum(fact.shows for fact in judged) >= needed and doubted <= may_fail
        is_spent = sum(fact.failed and fact.is_fresh for fact in judged) > may_fail
        return true, shows and not (unread and doubted > may_fail), is_spent

    @staticmethod
    def _is_of_other(world: World, node: str, post: Post) -> bool:
        entry, letter = world.catalog.get(node), post.letter
        return (
            entry is not None
            and not post.is_spoilt
            and letter.report.node_id is not None
            and letter.record.machine != entry.node_id
        )


def _is_same(one: Assignment, other: Assignment, *, has_id: bool = True, state: str | None = None) -> bool:
    """Whether two assignments are the same, as far as anyone can tell."""
    if has_id and one.id is not None and other.id is not None:
        return one.id == other.id
    return one.generation == other.generation and (state is None or state == other.state)


def _shows(post: Post) -> bool:
    report = post.letter.report
    is_silent = report.id is None and report.previous_status is None
    return report.status is Status.SUCCEEDED or (
        report.status is Status.RUNNING and (is_silent or report.previous_status is Status.SUCCEEDED)
    )


def _part(count: Count, whole: int, *, up: bool = False) -> int:
    if not count.is_percentage:
        return count.amount
    hundredths = whole * count.amount
    return hundredths // 100 + (1 if up and hundredths % 100 else 0)
