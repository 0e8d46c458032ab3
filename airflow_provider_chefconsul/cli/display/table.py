"""The table of nodes: what each is assigned, what it reports, where it stands and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.moment import short_span
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing

WIDE = 100  # columns from which a terminal shows everything
_LONGEST_NAME = {True: 40, False: 16}
_LONGEST_WHY = {True: 200, False: 60}  # characters; ``explain`` prints all
_STYLES = {
    Standing.CONVERGED: "green",
    Standing.WAITING: "yellow",
    Standing.RUNNING: "yellow",
    Standing.REBOOTING: "yellow",
    Standing.INTERRUPTED: "yellow",
    Standing.ABSENT: "dim",
    Standing.LEFT: "dim",
    None: "dim",
}


def nodes_table(tiers: Mapping[str, Sequence[NodeStatus]], *, now: datetime, width: int, title: str = "") -> Table:
    """The nodes of each tier.

    A narrow terminal has no columns for tier, agent and report, which the standing and its reason cover, and only the
    generation of the assignment.

    :param width: columns of the terminal.
    """
    is_wide = width >= WIDE
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    headings = ("tier", "node", "agent", "assigned", "reported", "standing", "age", "why")
    for heading in headings if is_wide else ("node", "gen", "standing", "age", "why"):
        table.add_column(
            heading,
            justify="right" if heading in {"age", "gen"} else "left",
            no_wrap=heading != "why",  # only this column shrinks on a narrow terminal
            overflow="fold" if heading == "why" else "ellipsis",
            max_width=_LONGEST_NAME[is_wide] if heading in {"node", "tier"} else None,
        )
    for tier, nodes in tiers.items():
        for number, node in enumerate(nodes):
            table.add_row(*(_wide(node, now, "" if number else tier) if is_wide else _narrow(node, now)))
        table.add_section()
    return table


def _wide(node: NodeStatus, now: datetime, tier: str) -> list[Text]:
    is_present, report = node.member.is_present, node.report
    return [
        Text(tier),
        Text(one_line(node.member.node)),
        Text("up" if is_present else "down", "green" if is_present else "red"),
        Text(f"{node.assigned.generation} {node.assigned.state}" if node.assigned else "-"),
        Text(f"{_or_dash(report.generation)} {_or_dash(report.state)}" if report else "-"),
        *_standing(node, now, longest_why=_LONGEST_WHY[True]),
    ]


def _narrow(node: NodeStatus, now: datetime) -> list[Text]:
    return [
        Text(one_line(node.member.node)),
        Text(str(node.assigned.generation) if node.assigned else "-"),
        *_standing(node, now, longest_why=_LONGEST_WHY[False]),
    ]


def _standing(node: NodeStatus, now: datetime, *, longest_why: int) -> Iterable[Text]:
    why = one_line(describe_reason(node))
    if len(why) > longest_why:
        why = f"{why[:longest_why]}…"
    return (
        Text(node.standing or "-", _STYLES.get(node.standing, "bold red")),
        Text(short_span(node.since, now) if node.since else ""),
        Text(why),
    )


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
