"""The question before a wave, in words: what it does, to which nodes, and how earlier waves stand. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_chefconsul.domain.explanation.tier import describe_counts
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.model.values import Scalar
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus, tier_status
from airflow_provider_chefconsul.domain.write.decision import Refused, describe_decision
from airflow_provider_chefconsul.domain.write.plan import MISSING, Missing, PlannedWave
from airflow_provider_chefconsul.exceptions import WriteRefused

_NAMED = 50


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a wave.

    :param tier_path: the environment and the tier.
    :param number: of the wave, from 1.
    :param count: how many waves there are.
    :param planned: what the wave would do now.
    :param snapshot: the tier as it is now.
    :param refusal: why it would be refused now; None when it would not.
    """

    tier_path: str
    number: int
    count: int
    planned: PlannedWave
    snapshot: TierSnapshot
    refusal: WriteRefused | None = None

    @property
    def subject(self) -> str:
        """The question in one line."""
        changes = ", ".join(
            f"{each.name or 'state'} {_text(each.before)} → {_text(each.after)}" for each in self.planned.differences
        )
        nodes = f"{len(self.planned.nodes)} of {len(self.snapshot.members)} members"
        return f"{self.tier_path}: begin wave {self.number} of {self.count}, {changes or 'nothing new'} on {nodes}?"

    @property
    def lines(self) -> Sequence[str]:
        """The details, one paragraph each."""
        return [self._describe_change(), self._describe_nodes(), self._describe_before()]

    def describe_ending(
        self, expires: datetime | None, patience: timedelta | None, defaults: Sequence[str] | None
    ) -> str:
        """What happens without an answer.

        :param expires: when the question expires, timezone-aware; None means never.
        :param patience: the time until then.
        :param defaults: the answer taken then; None fails the rollout.
        """
        if expires is None:
            return "It waits for an answer indefinitely (no `response_timeout`)."
        ending = f"the answer is {', '.join(defaults)}" if defaults else "the rollout fails"
        return f"If nobody answers by {expires.isoformat(timespec='seconds')} (within {patience}), {ending}."

    def _describe_change(self) -> str:
        if self.refusal is not None:
            return f"As things stand, the wave would be refused: {self.refusal}"
        decision = self.planned.decision
        if isinstance(decision, Refused):
            return f"As things stand, the wave would be refused: {decision.reason}"
        if self.planned.before is None or self.planned.after is None:
            return f"As things stand, there is {describe_decision(decision)}."
        return f"From {self.planned.before.describe()} to {self.planned.after.describe()}."

    def _describe_nodes(self) -> str:
        nodes, members = self.planned.nodes, self.snapshot.members
        if not nodes:
            return f"It changes none of {len(members)} members."
        absent = [node for node in nodes if node in members and not members[node].is_present]
        away = f" Of these, not alive: {list_some(absent, _NAMED)}." if absent else ""
        return f"It changes {len(nodes)} of {len(members)} members: {list_some(nodes, _NAMED)}.{away}"

    def _describe_before(self) -> str:
        desired = self.snapshot.desired
        if not isinstance(desired, DesiredState) or desired.canary is None:
            return "No earlier wave is out."
        assignment = desired.canary.assignment
        covered = {
            name: node
            for name, node in tier_status(self.snapshot).nodes.items()
            if node.is_assigned(assignment.generation)
        }
        return f"Earlier waves: {describe_counts(TierStatus(desired, covered))}."


def _text(value: Scalar | Missing) -> str:
    if value is MISSING:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
