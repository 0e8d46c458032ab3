"""`make bench`: a short form of each benchmark, one after the other; exits with 1 when one misses a target.

All figures go into `build/benchmarks/all.json`, by benchmark. Run one by its own name for more rounds, such as
`python -m benchmarks.transitions`. Left out for the time they take: `benchmarks.event_delivery`, ten minutes of a whole
Airflow, and the tier of 50,000 of `benchmarks.waits`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import convergence, exec_fan_out, lease_race, simulated_fleet, transitions, waits

SHORT: Mapping[Callable[[Sequence[str]], int], str] = {
    transitions.main: "--rounds 3",
    exec_fan_out.main: "--runs 30 --cli-runs 5",
    lease_race.main: "",
    convergence.main: "--rounds 16",
    waits.main: "--sizes 100 1000 10000 --rounds 1 --seconds 10",
    simulated_fleet.main: "--sizes 200 1000 5000 --rounds 3",
}
"""The options of each."""
ALL = Path("build/benchmarks/all.json")


def main() -> int:
    """Run all, and collect what they wrote."""
    codes, figures = [], {}
    for run, options in SHORT.items():
        name = run.__module__.rpartition(".")[2]
        file = ALL.with_name(f"{name}.json")
        codes.append(run([*options.split(), "--json", str(file)]))
        figures[name] = json.loads(file.read_text())
        ALL.write_text(json.dumps(figures, indent=2) + "\n")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
