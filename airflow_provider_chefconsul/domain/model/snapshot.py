"""A tier as it was at one moment: what Consul holds of it, and who belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.exceptions import MalformedDocument


@dataclass(frozen=True, slots=True)
class Evidence:
    """What Consul holds for a node: its report, or why it cannot be read; and the key's ModifyIndex."""

    report: NodeReport | MalformedDocument
    modify_index: int


@dataclass(frozen=True, slots=True)
class TierSnapshot:
    """A tier as it was at one moment.

    :param desired: None when the tier has no desired state; an error when it cannot be read.
    :param evidence: by node name; nodes that are no members may be among them.
    """

    desired: DesiredState | MalformedDocument | None
    members: Members
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
