"""Draws docs/growth.svg from what `benchmarks.waits growth` wrote: what a wait takes, by members of its tier.

    python -m benchmarks.growth_picture [--json FILE] [--picture FILE]

Needs matplotlib, which is in the dependency group `bench`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.waits import DEFAULT_JSON

PICTURE = Path("docs/growth.svg")
_LINE, _GREY = "#0b6b8f", "#57606a"
mpl.rcParams |= {
    "svg.fonttype": "none",  # text stays text, in the reader's font
    "svg.hashsalt": "growth",  # the same figures give the same file
    "font.family": "sans-serif",
    "text.color": _GREY,
    "axes.edgecolor": _GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "axes.xmargin": 0.1,  # room for the labels
    "figure.constrained_layout.h_pad": 0.12,
    "figure.constrained_layout.w_pad": 0.12,
}


def draw(figures: Sequence[Mapping[str, Any]], picture: Path) -> None:
    """Draw two curves side by side over one scale of members.

    :param figures: those of the sizes of one tier, as `benchmarks.waits` writes them.
    """
    members = [each["members"] for each in figures]
    figure = Figure(figsize=(9, 3.4), layout="constrained", facecolor="white")  # readable on a dark page, too
    delay, cpu = figure.subplots(1, 2)
    delays = [each["delay_p95"] / 1000 for each in figures]
    _draw_curve(delay, members, delays, "From the last report to the verdict, p95")
    _draw_curve(cpu, members, [each["cpu_seconds"] for each in figures], "CPU of the wait")
    figure.savefig(picture, metadata={"Date": None})


def _draw_curve(axes: Axes, members: Sequence[int], seconds: Sequence[float], title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color="black")
    axes.set_xscale("log")
    axes.set_xticks(members, [f"{each:,}" for each in members])
    axes.set_xlabel("members of the tier (logarithmic)", color=_GREY)
    axes.set_ylim(0, 1.15 * max(seconds))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color="#d8dee4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.plot(members, seconds, color=_LINE, linewidth=2, marker="o")
    for each, value in zip(members, seconds, strict=True):
        axes.annotate(
            f"{value:.2g} s",
            (each, value),
            (0, 8),
            textcoords="offset points",
            ha="center",
            color=_LINE,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # over the line
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file with the figures")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="file to draw")
    options = parser.parse_args(arguments)
    draw([each for each in json.loads(options.json.read_text()) if each["waits"] == 1], options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
