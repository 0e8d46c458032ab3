"""Where a tier and each of its members stand, beside what they were assigned and what they reported. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_chefconsul.domain.explanation.explain import NOBODY_DIED, TierExplanation, explain_tier
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.membership import Member, in_order
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.verdict.standing import EXCUSED, Standing, judge
from airflow_provider_chefconsul.exceptions import MalformedDocument


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One member of a tier.

    :param assigned: None when the tier has no desired state that can be read; so is ``standing``.
    :param report: None when there is none that can be read.
    :param why: why it stands so, in a few words; empty when it has converged.
    :param since: aware, by the clock of who wrote it down; None where nobody did.
    """

    member: Member
    assigned: Assignment | None
    report: NodeReport | None
    standing: Standing | None
    why: str
    since: datetime | None

    @property
    def has_converged(self) -> bool:
        """Whether it is where it should be."""
        return self.standing is Standing.CONVERGED


@dataclass(frozen=True, slots=True)
class TierStatus:
    """A tier at one moment.

    :param nodes: by name, each member.
    """

    tier: str
    snapshot: TierSnapshot
    explanation: TierExplanation
    nodes: Mapping[str, NodeStatus] = field(default_factory=dict)

    @property
    def has_converged(self) -> bool:
        """Whether every member that is not excused has converged on its assignment, and at least one has.

        As the default policy of a wait judges it, but for each assignment that there is.
        """
        asked = [node for node in self.nodes.values() if node.standing not in EXCUSED]
        return bool(asked) and all(node.has_converged for node in asked)


def tier_status(
    environment: str,
    tier: str,
    snapshot: TierSnapshot,
    *,
    now: datetime,
    lease: Lease | MalformedDocument | None = None,
    died: Mapping[str, EarlyFailure] = NOBODY_DIED,
) -> TierStatus:
    """Where a tier stands.

    :param lease: what stands under the environment's lease key.
    :param died: by node, runs that read no tier.
    """
    explanation = explain_tier(environment, tier, snapshot, now=now, lease=lease, died=died)
    nodes = {
        name: _node_status(member, snapshot, explanation.nodes[name].since)
        for name, member in in_order(snapshot.members)
    }
    return TierStatus(tier, snapshot, explanation, nodes)


def _node_status(member: Member, snapshot: TierSnapshot, since: datetime | None) -> NodeStatus:
    evidence = snapshot.evidence.get(member.node)
    report = evidence.report if evidence is not None and isinstance(evidence.report, NodeReport) else None
    if not isinstance(snapshot.desired, DesiredState):
        return NodeStatus(member, None, report, None, "nothing is assigned", since)
    assigned = snapshot.desired.assignment_for(member.node)
    standing, why = judge(member, assigned, evidence)
    return NodeStatus(member, assigned, report, standing, why, since)
