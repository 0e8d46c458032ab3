"""A tier as it was at one moment: what Consul holds of it, and who belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable


@dataclass(frozen=True, slots=True)
class Evidence:
    """What Consul holds for a node: its report, or why it cannot be read; and the key's ModifyIndex."""

    report: NodeReport | Unreadable
    modify_index: int


@dataclass(frozen=True, slots=True)
class TierSnapshot:
    """A tier as it was at one moment.

    :param desired: None when the tier has none.
    :param evidence: by node name; nodes that are no members may be among them.
    """

    desired: DesiredState | Unreadable | None
    members: Members
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
