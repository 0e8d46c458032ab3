"""Tiers as a terminal shows them: what is desired, what holds them up, and the table of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.text import Text

from airflow_provider_chefconsul.cli.display.order import nodes_worst_first, tiers_worst_first
from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.cli.display.table import nodes_table
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus

_LISTED = 40  # nodes of a tier; of a larger one only those that hold it up, and at most this many


def render(
    tiers: Iterable[ShownTier],
    *,
    now: datetime,
    width: int,
    lists_all: bool,
    height: int | None = None,
    above: str = "",
) -> RenderableType:
    """Each tier's desired state and what holds it up, and the table of nodes; worst first.

    :param lists_all: list every node of a large tier, too.
    :param height: of the screen in lines; None for output that scrolls.
    :param above: the first line.
    """
    lines: list[RenderableType] = [Text(one_line(above), "bold")] if above else []
    listed: dict[str, list[NodeStatus]] = {}
    for shown in tiers_worst_first(tiers):
        lines += _describe(shown)
        chosen = list(shown.status.nodes.values())
        if len(chosen) > _LISTED and not lists_all:
            chosen = nodes_worst_first(node for node in chosen if not node.has_converged)[:_LISTED]
            lines.append(
                Text(f"  {len(chosen)} of {len(shown.status.nodes)} nodes are listed; --all lists the others", "dim")
            )
        if chosen:
            listed[shown.tier] = nodes_worst_first(chosen)[:height]
    return Group(*lines, nodes_table(listed, now=now, width=width)) if listed else Group(*lines)


@dataclass(frozen=True, slots=True)
class Screenful:
    """The content that fits on a screen; the last line says how much does not.

    :param height: lines; None is what the terminal has.
    :param way_out: how to see the rest.
    """

    content: RenderableType
    height: int | None = None
    way_out: str = "enlarge the window, or name a tier"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.content, options.update(height=None), pad=False)
        height = self.height or options.max_height
        for line in lines if len(lines) <= height else lines[: height - 1]:
            yield from line
            yield Segment.line()
        if len(lines) > height:
            yield Text(f"… {len(lines) - height + 1} more lines: {self.way_out}", "bold")


def _describe(shown: ShownTier) -> Iterator[RenderableType]:
    explanation = shown.explanation
    yield Text(one_line(explanation.headline), "bold green" if shown.status.has_converged else "bold")
    if explanation.written:
        yield _indented(explanation.written, "dim")
    for obstacle in explanation.obstacles:
        yield _indented(obstacle, "yellow")


def _indented(text: str, style: str) -> Padding:
    return Padding(Text(one_line(text), style), (0, 0, 0, 2))
