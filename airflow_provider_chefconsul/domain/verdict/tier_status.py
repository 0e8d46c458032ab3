"""Where a tier stands: each of its members, what is desired of it, and who reports without being a member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.standing import EXCUSED, NodeStatus, Standing, judge


@dataclass(frozen=True)
class TierStatus:
    """A tier at one moment.

    :param desired: None when the tier has no desired state.
    :param nodes: by name, in order, each member; in a wait, those that are assigned a generation which is waited for.
    :param strangers: nodes that report and are no members, in order; a wait does not look for them.
    """

    desired: DesiredState | Unreadable | None
    nodes: Mapping[str, NodeStatus] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()

    @cached_property
    def by_standing(self) -> dict[Standing, list[str]]:
        """Node names by standing, in order; standings that nobody has are left out."""
        grouped: dict[Standing | None, list[str]] = {}
        for name, node in self.nodes.items():
            grouped.setdefault(node.standing, []).append(name)
        return {standing: grouped[standing] for standing in Standing if standing in grouped}

    @cached_property
    def newest(self) -> TierStatus:
        """Of the members that are assigned what was declared last: the canary's nodes while one is out, else all."""
        if not isinstance(self.desired, DesiredState) or self.desired.canary is None:
            return self
        generation = self.desired.newest.generation
        nodes = {name: node for name, node in self.nodes.items() if node.is_assigned(generation)}
        return TierStatus(self.desired, nodes)

    def count(self, standing: Standing) -> int:
        """How many members stand so."""
        return len(self.by_standing.get(standing, ()))

    @property
    def present(self) -> int:
        """How many members are neither absent nor have left."""
        return len(self.nodes) - sum(self.count(standing) for standing in EXCUSED)

    @property
    def has_converged(self) -> bool:
        """Whether every member that is not excused has converged on its assignment, and at least one has.

        As the default policy of a wait judges it, but for each assignment that there is.
        """
        return 0 < self.count(Standing.CONVERGED) == self.present


def tier_status(snapshot: TierSnapshot, *, before: TierStatus | None = None) -> TierStatus:
    """Where a tier stands, judged by one snapshot alone.

    :param before: where it stood; members of which nothing has changed keep their :class:`NodeStatus`.
    """
    desired, evidence = snapshot.desired, snapshot.evidence
    known = before.nodes if before is not None and before.desired == desired else {}
    members = snapshot.members
    order = before.nodes if before and before.nodes.keys() == members.keys() else sorted(members, key=natural_order)
    nodes: dict[str, NodeStatus] = {}
    for name in order:
        member, found, kept = members[name], evidence.get(name), known.get(name)
        if kept is not None and kept.evidence is found and (kept.member is member or kept.member == member):
            nodes[name] = kept
        elif isinstance(desired, DesiredState):
            nodes[name] = judge(member, desired, found)
        else:
            nodes[name] = NodeStatus(member, evidence=found)
    strangers = sorted(evidence.keys() - snapshot.members.keys(), key=natural_order)
    return TierStatus(desired, nodes, tuple(strangers))
