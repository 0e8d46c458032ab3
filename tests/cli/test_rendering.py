"""What fits on a screen."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.screen import Screen
from rich.text import Text

from airflow_provider_chefconsul.cli.display.rendering import Screenful


@pytest.mark.parametrize(
    ("lines", "last"),
    [(3, "line 3"), (8, "line 8"), (9, "… 2 more lines: enlarge the window"), (90, "… 83 more lines: enlarge")],
)
def test_what_does_not_fit_is_said(lines, last):
    """A node that is cut off must not seem to be missing."""
    console = Console(file=io.StringIO(), width=60, height=8, force_terminal=True, no_color=True)
    console.print(Screen(Screenful(Text("\n".join(f"line {number}" for number in range(1, lines + 1))))), end="")
    drawn = [line.strip() for line in console.file.getvalue().splitlines()]
    assert len(drawn) == 8
    shown = [line.replace("\x1b[1m", "") for line in drawn if line]
    assert shown[-1].startswith(last)
    assert shown[: min(lines, 7)] == [f"line {number}" for number in range(1, min(lines, 7) + 1)]
