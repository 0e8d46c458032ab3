"""Three orchestrators that write to one tier of a real Consul, in any order and between each other's steps.

An attempt may be held up just before its transaction, when everything has been read and planned; meanwhile others
write, take the environment's lease, or freeze the tier. In any order, the result of an attempt must be what the rules
say for the state that its transaction finds: once a freeze is acknowledged, no write slips past it, and a rollout that
was promoted or aborted has ended so.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import consul
import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_provider_chefconsul.consul.freeze import freeze, unfreeze
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import steer, write
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.freeze import EVERY_TIER, make_freeze_entry
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.act import plan_write
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.decision import Basis, Decision, Refused, Unchanged, Write
from airflow_provider_chefconsul.domain.write.rollback import RollBack, plan_rollback
from airflow_provider_chefconsul.domain.write.steering import Abort, Promotion, plan_abort, plan_promotion
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import (
    EnvironmentLeased,
    RolloutAborted,
    StaleWrite,
    TierFrozen,
    WriteRefused,
)
from tests.support.factory import make_change, make_lease, make_members, make_writer
from tests.support.raw_keys import RawKeys

NODES = ["web-1", "web-2", "web-3", "web-4"]
WEB = make_members(*NODES)
LONG_AGO = "1970-01-01T00:00:00Z"
PATIENCE = 60  # seconds that no attempt should need, on however slow a machine


class HeldClient(ConsulClient):
    """A client whose next transaction waits at a gate."""

    gate: asyncio.Event | None = None

    async def transact(self, operations: Sequence[Operation]) -> None:
        """Wait once, then send the transaction."""
        if self.gate is not None:
            gate, self.gate = self.gate, None
            await gate.wait()
        await super().transact(operations)


@dataclass
class Attempt:
    """A write in progress, and what the rules say about it."""

    intent: Change | RollBack | Promotion | Abort
    task: asyncio.Task[Any] | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def expect(
        self, current: DesiredState | None, history: Mapping[int, DesiredState], written: DesiredState | None = None
    ) -> Decision:
        """The result that the rules give for the current state.

        :param written: what was written, at the time and with the new id that chance gave it.
        """
        basis = Basis(current, written_at="", generations=list(history), history=history, members=WEB)
        if written is not None:
            basis = replace(basis, written_at=written.written_at, new_id=written.newest.id)
        match self.intent:
            case RollBack() as rollback:
                return plan_rollback(basis, rollback)
            case Promotion() as promotion:
                return plan_promotion(basis, promotion)
            case Abort() as abortion:
                return plan_abort(basis, abortion)
            case change:
                return plan_write(basis, change)

    @property
    def is_steering(self) -> bool:
        """Whether it may pass beside the lease of the Dag run whose rollout it steers."""
        return isinstance(self.intent, Promotion | Abort)


class Orchestrators(RuleBasedStateMachine):
    """Three orchestrators; each step of one is a task of a Dag run with some logical time, or of a person."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.root = f"test-{uuid.uuid4().hex[:12]}"
        self.kv = RawKeys(consul.Consul(host="127.0.0.1", port=port), self.root)
        self.runner = asyncio.Runner()
        settings = ConsulSettings("127.0.0.1", port, root=self.root)
        self.clients = [self.runner.run(_make_client(settings)) for _ in range(3)]
        self.views = [SharedView(client) for client in self.clients]
        self.clients.append(self.runner.run(_make_client(settings)))
        self.person = SharedView(self.clients[-1])
        self.held: list[Attempt | None] = [None, None, None]
        self.current: DesiredState | None = None
        self.history: dict[int, DesiredState] = {}
        self.lease: Lease | None = None
        self.is_frozen = False
        self.acts: list[str] = []
        self.tasks = 0

    def teardown(self) -> None:
        """Release everything."""
        for attempt in self.held:
            if attempt is not None and attempt.task is not None:
                attempt.task.cancel()
        for client in self.clients:
            self.runner.run(client.close())
        self.runner.close()
        self.kv.client.kv.delete(f"{self.root}/", recurse=True)

    # What orchestrators do ------------------------------------------------------------------------------------------

    who = st.sampled_from([0, 1, 2])
    lags = st.sampled_from([0, 0, 0, 0, 0, -1, 1])  # between a Dag run's logical time and the current sequence
    holds = st.sampled_from([True, True, False])
    sizes = st.sampled_from([None, None, 1, 2, "75%", "100%", ("web-1", "web-3")])
    waves = sizes.map(lambda size: None if size is None else Wave.parse(size))

    def make_writer(self, who: int, sequence: int, as_holder: bool) -> Writer:
        """A new task of one of its Dag runs, preferably the one that holds the lease."""
        self.tasks += 1
        run_id = self.lease.holder.run_id if as_holder and self.lease else f"{who}-{sequence}"
        return make_writer(run_id=run_id, task_id=f"task-{self.tasks}")

    @initialize()
    def first_write(self) -> None:
        """Give the tier a desired state."""
        self.write(0, 0, "other", None, False, False, False)

    @rule(
        who=who,
        lag=lags,
        what=st.sampled_from(["next", "next", "next", "other", "stable"]),
        canary=waves,
        force=st.sampled_from([False] * 5 + [True]),
        hold=holds,
        as_holder=st.booleans(),
    )
    def write(
        self, who: int, lag: int, what: str, canary: Wave | None, force: bool, hold: bool, as_holder: bool
    ) -> None:
        """Write the canary's release, another or the stable one: to all nodes, or in a wave."""
        sequence = self.sequence + lag
        writer = self.make_writer(who, sequence, as_holder)
        values = {"release": str(self.tasks)}
        if self.current and what == "stable":
            values = self.current.stable.values
        elif self.current and self.current.canary and what == "next":
            values = self.current.canary.assignment.values
        change = make_change(values=values, canary=canary, force=force, sequence=sequence, writer=writer)
        self.begin(who, Attempt(change), hold=hold)

    @rule(
        who=who,
        lag=lags,
        to=st.sampled_from(["previous", "previous", 1, 2, 9]),
        only_own=st.sampled_from([False, False, True]),
        despite_freeze=st.booleans(),
        hold=holds,
        as_holder=st.booleans(),
    )
    def roll_back(
        self, who: int, lag: int, to: Any, only_own: bool, despite_freeze: bool, hold: bool, as_holder: bool
    ) -> None:
        """Roll back to the previous content, or to a generation."""
        sequence = self.sequence + lag
        writer = self.make_writer(who, sequence, as_holder)
        rollback = RollBack(writer, to=to, sequence=sequence, only_own=only_own, despite_freeze=despite_freeze)
        self.begin(who, Attempt(rollback), hold=hold)

    @rule(who=who, is_abort=st.booleans(), hold=holds)
    def steer(self, who: int, is_abort: bool, hold: bool) -> None:
        """A person promotes a canary, or aborts its rollout."""
        self.tasks += 1
        writer = make_writer(dag_id="operate", run_id=f"person-{who}", task_id=f"task-{self.tasks}")
        self.begin(who, Attempt(Abort(writer, "errors") if is_abort else Promotion(writer)), hold=hold)

    @precondition(lambda self: not self.is_frozen)
    @rule(name=st.sampled_from(["web", EVERY_TIER]), resume=st.booleans())
    def freeze(self, name: str, resume: bool) -> None:
        """A person freezes the tier, or all; once that returns, nothing moves it, whatever was planned before."""
        entry = make_freeze_entry(make_writer(dag_id="operate"), "evening", None, now=datetime.now(UTC))
        self.runner.run(freeze(self.person, "demo", [name], entry))
        self.is_frozen = True
        for who in range(3) if resume else ():
            self.resume(who)

    @precondition(lambda self: self.is_frozen)
    @rule()
    def unfreeze(self) -> None:
        """A person ends every freeze."""
        self.runner.run(unfreeze(self.person, "demo", None, make_writer(dag_id="operate")))
        self.is_frozen = False

    @property
    def sequence(self) -> int:
        """The logical time of the current state."""
        return self.current.sequence or 0 if self.current else 100

    @precondition(lambda self: any(self.held))
    @rule(who=who)
    def resume(self, who: int) -> None:
        """Send the transaction that was held."""
        if self.held[who] is not None:
            self.finish(who)

    @rule(who=who, lag=lags)
    def seize_lease(self, who: int, lag: int) -> None:
        """A Dag run acquires the lease or takes it over."""
        holder = DagRun("shop_rollout", f"{who}-{self.sequence + lag}")
        self.lease = make_lease(holder=holder, expires_at=LONG_AGO)
        self.kv["demo/_lease"] = self.lease.to_json()

    @precondition(lambda self: self.lease is not None)
    @rule()
    def release_lease(self) -> None:
        """The holder gives up the lease."""
        self.lease = None
        del self.kv["demo/_lease"]

    # What must come of it -------------------------------------------------------------------------------------------

    def begin(self, who: int, attempt: Attempt, *, hold: bool) -> None:
        """Start an attempt and run it up to its transaction if that is to be held, else to its end."""
        who = next((each for each in (who, 0, 1, 2) if not self.held[each]), who)
        if self.held[who]:
            self.finish(who)
        if hold:
            self.clients[who].gate = attempt.gate
        self.held[who] = attempt
        self.runner.run(self._start(who, attempt))
        if not hold or (attempt.task is not None and attempt.task.done()):
            self.finish(who)

    async def _start(self, who: int, attempt: Attempt) -> None:
        view = self.views[who]
        match attempt.intent:
            case RollBack() as rollback:
                running = steer(view, "demo", ["web"], rollback)
            case Promotion() as promotion:
                running = steer(view, "demo", ["web"], promotion)
            case Abort() as abortion:
                running = steer(view, "demo", ["web"], abortion)
            case change:
                running = write(view, "demo", {"web": change})
        attempt.task = asyncio.create_task(running)
        async with asyncio.timeout(PATIENCE):
            while not attempt.task.done() and self.clients[who].gate is not None:
                await asyncio.wait({attempt.task}, timeout=0.002)

    def finish(self, who: int) -> None:
        """Let an attempt end, and compare its result with what the rules say for the current state."""
        attempt, self.held[who] = self.held[who], None
        assert attempt is not None
        assert attempt.task is not None
        attempt.gate.set()
        self.clients[who].gate = None
        self.runner.run(asyncio.wait_for(asyncio.wait({attempt.task}), PATIENCE))
        error, expected = attempt.task.exception(), attempt.expect(self.current, self.history)
        is_kept_out = self.lease is not None and self.lease.holder not in self._may_write(attempt)
        if is_kept_out and not (attempt.is_steering and isinstance(expected, Refused)):
            assert isinstance(error, EnvironmentLeased)
            return
        if isinstance(expected, Refused):
            kind = RolloutAborted if expected.is_aborted else StaleWrite if expected.is_stale else WriteRefused
            assert isinstance(error, kind)
            assert expected.reason in str(error)
            return
        if self.is_frozen and isinstance(expected, Write) and expected.assigns and not self._goes_ahead(attempt):
            assert isinstance(error, TierFrozen), "a write slipped past a freeze"
            return
        assert error is None
        decision = attempt.task.result().decisions["web"]
        if isinstance(decision, Write):
            self.note(decision, attempt)
            expected = attempt.expect(self.before, self.history_before, decision.desired)
        assert decision == expected
        assert isinstance(decision, Write | Unchanged)

    def _may_write(self, attempt: Attempt) -> list[DagRun]:
        """Whose lease lets an attempt pass: that of its Dag run, or of the one whose rollout it steers."""
        if attempt.is_steering and self.current is not None and self.current.canary is not None:
            begun = self.history[self.current.canary.assignment.generation]
            return [DagRun.of(begun.written_by)]
        return [DagRun.of(attempt.intent.writer)]

    def _goes_ahead(self, attempt: Attempt) -> bool:
        match attempt.intent:
            case RollBack(despite_freeze=despite_freeze):
                return despite_freeze
            case Abort():
                return True
        return False

    def note(self, decision: Write, attempt: Attempt) -> None:
        """Remember a write."""
        self.before, self.history_before = self.current, dict(self.history)
        current = self.current.sequence if self.current else None
        if not attempt.is_steering:
            assert current is None or attempt.intent.sequence >= current, "a stale write was let through"
        if decision.assigns or decision.is_paced:
            self.acts.append(decision.act)
        if decision.is_new:
            assert decision.generation not in self.history, "a generation was given twice"
            ids = {assignment.id for entry in self.history.values() for assignment in entry.assignments}
            new = decision.desired.assignment_at(decision.generation)
            assert new.generation == decision.generation
            assert new.id, "an assignment without an id was made"
            assert new.id not in ids, "an id was given twice"
            self.history[decision.generation] = decision.desired
        self.current = decision.desired
        if self.lease is not None and not attempt.is_steering:
            renewed = Lease.from_json("key", self.kv["demo/_lease"])
            assert renewed == replace(self.lease, expires_at=renewed.expires_at)
            assert renewed.expires_at > LONG_AGO
            self.lease = renewed

    @invariant()
    def nothing_is_lost(self) -> None:
        """The history has every generation once, without a gap, as written; the last write is the current state."""
        keys = self.kv.read()
        found = {
            key.removeprefix("demo/_history/web/"): DesiredState.from_json(key, text)
            for key, text in keys.items()
            if key.startswith("demo/_history/web/")
        }
        assert list(found) == [f"{generation:012d}" for generation in range(1, len(self.history) + 1)]
        assert found == {f"{generation:012d}": written for generation, written in self.history.items()}
        text = keys.get("demo/web/desired")
        assert (text and DesiredState.from_json("key", text)) == self.current
        entries = [JournalEntry.from_json(key, keys[key]) for key in sorted(keys) if key.startswith("demo/_journal/")]
        acts = [entry.act for entry in entries if entry.tiers]
        assert sorted(acts) == sorted(self.acts), "an act was not told, or told twice"


async def _make_client(settings: ConsulSettings) -> HeldClient:
    return HeldClient(settings)


def test_interleavings(cluster, members):
    """No write is lost, no stale one is accepted, and none passes beside another's lease or a freeze."""
    members(*NODES)
    settings = hypothesis.settings(
        max_examples=30,
        stateful_step_count=20,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],  # to find a shorter example would take minutes
    )
    run_state_machine_as_test(lambda: Orchestrators(cluster.http_port), settings=settings)
