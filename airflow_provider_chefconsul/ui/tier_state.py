"""What viewers share of a tier: its snapshot, its history, and a cell for each node. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.membership import Member
from airflow_provider_chefconsul.domain.model.name import natural_order
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.domain.model.snapshot import Evidence, TierSnapshot
from airflow_provider_chefconsul.domain.verdict.progress import converged_moments
from airflow_provider_chefconsul.domain.verdict.standing import Standing, judge


@dataclass(frozen=True, slots=True)
class Cell:
    """What the heat map shows of a node.

    :param standing: None when nothing that can be read is assigned.
    :param generation: the one its report is about; None when it has none, as the state and the status.
    """

    standing: Standing | None
    is_canary: bool = False
    generation: int | None = None
    state: str | None = None
    status: str | None = None

    def to_fields(self) -> list[object]:
        """The JSON form: a list, since there may be thousands."""
        return [self.standing, int(self.is_canary), self.generation, self.state, self.status]


@dataclass(frozen=True, slots=True)
class TierState:
    """A tier as the board shows it.

    :param history: by generation, oldest first.
    :param cells: by node; unchanged ones are those of the state before, so that they are the same object.
    :param converged_at: when each converged node did.
    """

    environment: str
    tier: str
    snapshot: TierSnapshot
    history: Mapping[int, DesiredState] = field(default_factory=dict)
    cells: Mapping[str, Cell] = field(default_factory=dict)
    converged_at: tuple[datetime, ...] = ()


def next_state(
    environment: str,
    tier: str,
    snapshot: TierSnapshot,
    history: Mapping[int, DesiredState],
    before: TierState | None = None,
) -> TierState:
    """The tier's state by a new snapshot; cells of nodes of which nothing changed are kept."""
    cells = {}
    is_same = before is not None and before.snapshot.desired == snapshot.desired
    is_order_known = before is not None and before.snapshot.members.keys() == snapshot.members.keys()
    nodes = before.cells if before and is_order_known else sorted(snapshot.members, key=natural_order)
    for node in nodes:
        member, evidence = snapshot.members[node], snapshot.evidence.get(node)
        if before and is_same and before.snapshot.evidence.get(node) is evidence:
            known = before.cells.get(node)
            if known is not None and before.snapshot.members[node].presence is member.presence:
                cells[node] = known
                continue
        cell = _read_cell(member, snapshot.desired, evidence)
        known = before.cells.get(node) if before else None
        cells[node] = known if known is not None and known == cell else cell
    return TierState(environment, tier, snapshot, history, cells, converged_moments(snapshot))


def changed_cells(before: Mapping[str, Cell], after: Mapping[str, Cell]) -> tuple[dict[str, Cell], list[str]]:
    """The cells that are new or other than before, and the nodes that are gone."""
    changed = {node: cell for node, cell in after.items() if before.get(node) is not cell}
    return changed, [node for node in before if node not in after]


def _read_cell(member: Member, desired: object, evidence: Evidence | None) -> Cell:
    report = evidence.report if evidence and isinstance(evidence.report, NodeReport) else None
    said = (report.generation, report.state, str(report.status)) if report else (None, None, None)
    if not isinstance(desired, DesiredState):
        return Cell(None, False, *said)
    standing, _ = judge(member, desired.assignment_for(member.node), evidence)
    is_canary = desired.canary is not None and desired.canary.has_node(member.node)
    return Cell(standing, is_canary, *said)
