"""A tier at one moment: its documents in Consul, and its members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable


@dataclass(frozen=True, slots=True)
class Evidence:
    """What Consul holds for a node: its report, or why it cannot be read; and the key's ModifyIndex."""

    report: NodeReport | Unreadable
    modify_index: int


@dataclass(frozen=True, slots=True)
class TierSnapshot:
    """A tier at one moment.

    :param desired: None when the tier has none.
    :param evidence: by node name; may include nodes that are not members.
    :param tickets: by what follows ``_slots/``, the tickets for slots, for people only: no verdict rests on them.
    """

    desired: DesiredState | Unreadable | None
    members: Members
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    tickets: Mapping[str, Ticket | Unreadable] = field(default_factory=dict, compare=False)

    def find_changed(self, before: TierSnapshot) -> set[str]:
        """The nodes whose report or membership differs from an earlier snapshot.

        Comparing by identity first: what has not changed is the same object, so most of a large tier costs little.
        """
        return _differing(before.members, self.members) | _differing(before.evidence, self.evidence)


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    if before is after:
        return set()
    found = {name for name, each in after.items() if (known := before.get(name)) is not each and known != each}
    return found if before.keys() <= after.keys() else found.union(before.keys() - after.keys())
