"""The plan of a write: a decision for each tier, and the transaction that carries them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_chefconsul.consul.http.operation import LONGEST_TRANSACTION, Operation
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.domain.write.decision import Basis, Decision, Refused, Unchanged, Write
from airflow_provider_chefconsul.exceptions import RequestTooLarge, WriteRefused

HISTORY_KEPT = 50  # generations of each tier
_PRUNED_AT_ONCE = 8  # per tier and write; a longer history shrinks gradually


@dataclass(frozen=True, slots=True)
class TierPlan:
    """The decision about a tier, and its basis."""

    basis: Basis
    decision: Decision


@dataclass(frozen=True, slots=True)
class Plan:
    """What a write would do now, or did.

    :param tiers: by tier.
    :param refusal: why the write is refused; None when it is not.
    :param operations: the transaction; empty when there is nothing to write.
    """

    tiers: Mapping[str, TierPlan]
    refusal: WriteRefused | None = None
    operations: Sequence[Operation] = ()

    @property
    def decisions(self) -> dict[str, Write | Unchanged]:
        """By tier, the decision.

        :raises WriteRefused: the write is refused.
        """
        if self.refusal is not None:
            raise self.refusal
        return {tier: each.decision for tier, each in self.tiers.items() if not isinstance(each.decision, Refused)}

    @property
    def generations(self) -> dict[str, int]:
        """By tier, the generation of the requested assignment.

        :raises WriteRefused: the write is refused.
        """
        return {tier: decision.generation for tier, decision in self.decisions.items()}

    @property
    def moves(self) -> bool:
        """Whether it would move a tier; a write that only records a later logical time moves none."""
        decisions = [each.decision for each in self.tiers.values()]
        return bool(self.operations) and any(isinstance(each, Write) and each.assigns for each in decisions)

    @property
    def new(self) -> frozenset[str]:
        """The tiers whose generation this write makes.

        :raises WriteRefused: the write is refused.
        """
        return frozenset(tier for tier, each in self.decisions.items() if isinstance(each, Write) and each.is_new)


def make_transaction(
    keys: Keys,
    environment: str,
    fences: Sequence[Operation],
    plans: Mapping[str, TierPlan],
    *,
    journal: Sequence[Operation] = (),
    prunes: Sequence[Operation] = (),
    history_kept: int = HISTORY_KEPT,
) -> Sequence[Operation]:
    """The operations that carry out the plans; none when there is nothing to write.

    :param fences: the operations to begin with.
    :param journal: the operations that tell of it.
    :param prunes: what may also be removed, as far as there is room.
    :param history_kept: how many generations of each tier are left.
    :raises RequestTooLarge: they are more than one transaction may have.
    """
    writing: list[Operation] = []
    pruning = list(prunes)
    for tier, each in plans.items():
        if isinstance(each.decision, Write):
            writing += _make_writes(keys, environment, tier, each.decision, each.basis)
            pruning += _make_prunes(keys, environment, tier, each.decision, each.basis, history_kept=history_kept)
    if not writing:
        return []
    operations = [*fences, *writing, *journal]
    if len(operations) > LONGEST_TRANSACTION:
        raise RequestTooLarge(
            f"{len(plans)} tiers need {len(operations)} operations, but Consul takes at most {LONGEST_TRANSACTION} in "
            f"one transaction; write fewer tiers at once"
        )
    return [*operations, *pruning[: LONGEST_TRANSACTION - len(operations)]]


def _make_writes(keys: Keys, environment: str, tier: str, decision: Write, basis: Basis) -> list[Operation]:
    document = decision.desired.to_json()
    writes = [Operation.check_and_set(keys.desired(environment, tier), document, basis.modify_index)]
    if decision.is_new:  # a generation is written once
        history = keys.history(environment, tier, decision.generation)
        writes.append(Operation.check_and_set(history, document, 0))
    return writes


def _make_prunes(
    keys: Keys, environment: str, tier: str, decision: Write, basis: Basis, *, history_kept: int
) -> list[Operation]:
    too_many = max(0, len(basis.generations) + decision.is_new - history_kept)
    # Many rolled-back canaries must not push out the generation that the next rollback goes back to.
    needed = {decision.desired.stable.generation, decision.desired.previous}
    old = [generation for generation in basis.generations if generation not in needed]
    return [
        Operation.delete(keys.history(environment, tier, generation))
        for generation in old[: min(too_many, _PRUNED_AT_ONCE)]
    ]
