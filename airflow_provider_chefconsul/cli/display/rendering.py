"""Tiers as a terminal shows them: what is desired, what holds them up, and the table of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.text import Text

from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.cli.display.table import nodes_table
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus

_LISTED = 50  # nodes of a tier; of a larger one only those that hold it up, and of these no more


def render(
    tiers: Iterable[ShownTier],
    *,
    now: datetime,
    width: int,
    lists_all: bool,
    height: int | None = None,
    above: str = "",
) -> RenderableType:
    """What is desired of each tier and what holds it up, and the table of nodes.

    :param lists_all: every node, also of a large tier.
    :param height: lines of a screen, below which nothing can be seen; None for output that scrolls.
    :param above: a line to begin with.
    """
    lines: list[RenderableType] = [Text(one_line(above), "bold")] if above else []
    listed: dict[str, list[NodeStatus]] = {}
    for shown in tiers:
        lines += _describe(shown)
        chosen = list(shown.status.nodes.values())
        if len(chosen) > _LISTED and not lists_all:
            chosen = [node for node in chosen if not node.has_converged][:_LISTED]
            lines.append(
                Text(f"  {len(chosen)} of {len(shown.status.nodes)} nodes are listed; --all lists the others", "dim")
            )
        if chosen:
            listed[shown.tier] = chosen[:height]
    return Group(*lines, nodes_table(listed, now=now, width=width)) if listed else Group(*lines)


@dataclass(frozen=True, slots=True)
class Screenful:
    """What fits on a screen of the content, and in the last line how much does not."""

    content: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich's protocol."""
        lines = console.render_lines(self.content, options.update(height=None), pad=False)
        height = options.max_height
        for line in lines if len(lines) <= height else lines[: height - 1]:
            yield from line
            yield Segment.line()
        if len(lines) > height:
            yield Text(f"… {len(lines) - height + 1} lines more: make the window higher, or name a tier", "bold")


def _describe(shown: ShownTier) -> Iterator[RenderableType]:
    explanation = shown.explanation
    yield Text(one_line(explanation.headline), "bold green" if shown.status.has_converged else "bold")
    if explanation.written:
        yield _indented(explanation.written, "dim")
    for obstacle in explanation.obstacles:
        yield _indented(obstacle, "yellow")


def _indented(text: str, style: str) -> Padding:
    return Padding(Text(one_line(text), style), (0, 0, 0, 2))
