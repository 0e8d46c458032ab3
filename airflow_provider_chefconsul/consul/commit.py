"""Writing desired states: one transaction with a check of everything that was planned on, and a history entry each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.consul.plan import Operation, Plan, PlannedTier, Planner, TierPlan
from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.write.change import Refused, Unchanged, Write
from airflow_provider_chefconsul.exceptions import (
    ConsulUnavailable,
    EnvironmentLeased,
    LeaseLost,
    MalformedDocument,
    RequestTooLarge,
    StaleWrite,
    TransactionConflict,
    WriteRefused,
)

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient, Entry

LONGEST_TRANSACTION = 64  # operations; later versions of Consul take more
HISTORY_KEPT = 50  # generations of each tier
_PRUNED_AT_ONCE = 8  # of each tier; a longer history shrinks by and by
_PAUSE = 0.1  # seconds
_ID_BYTES = 8  # of an assignment's id


class View(Protocol):
    """What a commit needs of the shared data view."""

    client: ConsulClient
    keys: Keys


class Commit:
    """One write of desired states, all or none.

    Every write names the ModifyIndex that it replaces; when somebody else wrote first, it is planned again on what
    stands then. While a lease stands on the environment, only the Dag run that holds it may write, which renews the
    lease in the same transaction; while none stands, the transaction checks that none has appeared. When an answer is
    lost, what stands tells whether the write was made, so it is not made twice.
    """

    def __init__(self, view: View, environment: str, planner: Planner) -> None:
        self._client = view.client
        self._keys = view.keys
        self._environment = environment
        self._planner = planner

    async def run(self, patience: timedelta) -> Plan:
        """Write, trying again while Consul is unavailable for at most ``patience``.

        :returns: what was done.
        :raises StaleWrite: something later stands; nothing was written.
        :raises EnvironmentLeased: another Dag run holds the environment; nothing was written.
        :raises WriteRefused: a change is not allowed from where its tier is; nothing was written.
        :raises MalformedDocument: what stands cannot be read, so it is not replaced; nothing was written.
        :raises RequestTooLarge: more tiers or values than one transaction takes; nothing was written.
        """
        give_up = monotonic() + patience.total_seconds()
        unanswered: Plan | None = None
        while True:
            try:
                if unanswered is not None and await self._has_written(unanswered.decisions):
                    return unanswered
                unanswered = None
                plan = await self.plan()
                if plan.refusal is not None:
                    raise plan.refusal
                if plan.operations:
                    unanswered = plan
                    await self._client.transact(plan.operations)
            except RequestTooLarge as error:
                raise RequestTooLarge(f"{self._where()}: too many tiers or values: {error}") from error
            except TransactionConflict:
                unanswered = None
                if monotonic() > give_up:
                    # A process that was stopped for long is told what came in between: a lease taken over stays lost.
                    refusal = (await self.plan()).refusal
                    if refusal is not None:
                        raise refusal from None
                    raise
            except ConsulUnavailable:
                if monotonic() > give_up:
                    raise
            else:
                return plan
            await asyncio.sleep(_PAUSE)

    async def plan(self) -> Plan:
        """What :meth:`run` would do now; nothing is written.

        :raises MalformedDocument: what stands cannot be read.
        :raises RequestTooLarge: more tiers than one transaction takes.
        """
        fences: list[Operation] = []
        refusals: list[WriteRefused] = []
        try:
            # Before the tiers: should the lease change hands after this look, the transaction's check of it fails.
            fences = await self._fence()
        except (EnvironmentLeased, LeaseLost) as error:
            refusals.append(error)
        found = {tier: await self._read(tier) for tier in self._planner.tiers}
        plans = {tier: TierPlan(planned, await self._planner.plan(planned)) for tier, (planned, _) in found.items()}
        for tier, each in plans.items():
            if isinstance(each.decision, Refused):
                kind = StaleWrite if each.decision.is_stale else WriteRefused
                refusals.append(kind(f"{self._environment}/{tier}: {each.decision.reason}"))
        if refusals:
            return Plan(plans, refusals[0])
        return Plan(plans, None, self._transaction(fences, plans, {tier: entry for tier, (_, entry) in found.items()}))

    def _transaction(
        self, fences: list[Operation], plans: Mapping[str, TierPlan], entries: Mapping[str, Entry | None]
    ) -> list[Operation]:
        """The operations that do what is planned; none when nothing is to be written."""
        operations: list[Operation] = []
        pruning: list[Operation] = []
        for tier, each in plans.items():
            if isinstance(each.decision, Write):
                operations += self._operations(tier, each.decision, entries[tier])
                pruning += self._prune(tier, each.decision, each.planned.generations)
        if not operations:
            return []
        operations = [*fences, *operations]
        if len(operations) > LONGEST_TRANSACTION:
            raise RequestTooLarge(
                f"{len(plans)} tiers take {len(operations)} operations, and Consul takes {LONGEST_TRANSACTION} in "
                f"one transaction; write fewer tiers at once"
            )
        return [*operations, *pruning[: LONGEST_TRANSACTION - len(operations)]]

    async def _fence(self) -> list[Operation]:
        """The operations that fail when the environment's lease is not, or no longer, as it is now."""
        key = self._keys.lease(self._environment)
        entry = await self._client.get(key)
        if entry is None:
            return [{"Verb": "check-not-exists", "Key": key}, await self._fence_of_loser()]
        lease = Lease.from_json(key, entry.value)
        if lease.holder != DagRun.of(self._planner.writer):
            await self._fence_of_loser()
            raise EnvironmentLeased(
                f"{self._where()}: environment {self._environment} is {lease.describe()}; "
                f"an AcquireLeaseOperator waits for it, and takes over when nobody renews it"
            )
        renewed = lease.renew(now=datetime.now(UTC)).to_json().encode()
        return [{"Verb": "cas", "Key": key, "Value": renewed, "Index": entry.modify_index}]

    async def _fence_of_loser(self) -> Operation:
        """The operation that fails when this Dag run's lease was taken over, though nobody holds one any more.

        :raises LeaseLost: it was.
        """
        writer = self._planner.writer
        key = self._keys.lost_lease(self._environment, writer.dag_id, writer.run_id)
        entry = await self._client.get(key)
        if entry is not None:
            taker = Lease.from_json(key, entry.value)
            why = f" ({taker.reason})" if taker.reason else ""
            raise LeaseLost(
                f"{self._where()}: {taker.holder} took the lease of environment {self._environment} from this Dag run "
                f"at {taker.acquired_at}{why}; to go on, clear its AcquireLeaseOperator and what follows"
            )
        return {"Verb": "check-not-exists", "Key": key}

    async def _read(self, tier: str) -> tuple[PlannedTier, Entry | None]:
        key = self._keys.desired(self._environment, tier)
        entry = await self._client.get(key)
        histories = self._keys.histories(self._environment, tier)
        try:
            current = DesiredState.from_json(key, entry.value) if entry else None
        except MalformedDocument as error:
            raise error.advise(f"put back the newest document below {histories}") from error
        _, names = await self._client.names(histories)
        numbers = (parse_number(name.removeprefix(histories)) for name in names)
        generations = sorted(number for number in numbers if number is not None)
        written_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return PlannedTier(tier, current, generations, written_at, token_hex(_ID_BYTES)), entry

    def _operations(self, tier: str, decision: Write, entry: Entry | None) -> list[Operation]:
        document = decision.desired.to_json().encode()
        index = entry.modify_index if entry else 0
        operations: list[Operation] = [
            {"Verb": "cas", "Key": self._keys.desired(self._environment, tier), "Value": document, "Index": index}
        ]
        if decision.is_new:  # a generation is written once
            history = self._keys.history(self._environment, tier, decision.generation)
            operations.append({"Verb": "cas", "Key": history, "Value": document, "Index": 0})
        return operations

    def _prune(self, tier: str, decision: Write, generations: Sequence[int]) -> list[Operation]:
        too_many = max(0, len(generations) + decision.is_new - HISTORY_KEPT)
        # Many canaries that were taken back must not push out what a rollback of the next one goes to.
        needed = {decision.desired.stable.generation, decision.desired.previous}
        old = [generation for generation in generations if generation not in needed]
        return [
            {"Verb": "delete", "Key": self._keys.history(self._environment, tier, generation)}
            for generation in old[: min(too_many, _PRUNED_AT_ONCE)]
        ]

    async def _has_written(self, decisions: Mapping[str, Write | Unchanged]) -> bool:
        """Whether a transaction whose answer was lost took effect.

        The history says so of a new generation, even when others wrote since; of another write only what stands does.
        """
        for tier, decision in decisions.items():
            if isinstance(decision, Write):
                key = self._keys.desired(self._environment, tier)
                if decision.is_new:
                    key = self._keys.history(self._environment, tier, decision.generation)
                entry = await self._client.get(key)
                return entry is not None and entry.value == decision.desired.to_json().encode()
        return False

    def _where(self) -> str:
        return f"{self._environment}/{', '.join(self._planner.tiers)}"
