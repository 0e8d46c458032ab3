"""What a wait saw when it last looked at its tier, so that its next look judges only what has changed."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus


@dataclass(frozen=True, slots=True)
class Look:
    """A wait's look at its tier.

    :param status: of the members that were waited for.
    """

    snapshot: TierSnapshot
    policy: ConvergencePolicy
    status: TierStatus

    def find_changed(self, snapshot: TierSnapshot, policy: ConvergencePolicy) -> set[str] | None:
        """The nodes that may be judged differently now; None when all may be.

        Where a node stands rests on its report, its entry in the catalog, what is desired, and on what the wait
        remembers of that node, which changes only when one of these does.
        """
        before = self.snapshot
        if policy != self.policy or (snapshot.desired is not before.desired and snapshot.desired != before.desired):
            return None
        return snapshot.find_changed(before)
