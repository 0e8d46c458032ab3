"""Run many histories, and show the smallest for each fault: ``python -m tests.domain.verdict.truth [COUNT [SEED]]``."""

from __future__ import annotations

import sys
from multiprocessing import Pool

from tests.domain.verdict.truth.history import History, run_many, shrink

_AT_ONCE = 500  # histories


def main(histories: int = 10_000, first: int = 0) -> int:
    """Run them and print the faults."""
    ranges = [range(at, min(at + _AT_ONCE, first + histories)) for at in range(first, first + histories, _AT_ONCE)]
    with Pool(2) as pool:
        results = pool.map(run_many, ranges, chunksize=1)
    tally, faults = results[0]
    for more, others in results[1:]:
        tally += more
        faults += others
    for name, number in sorted(tally.items()):
        print(f"{number:>9,} {name}")
    for kind in sorted({kind for _, kind, _ in faults}):
        seeds = [seed for seed, found, _ in faults if found == kind]
        history = min((shrink(History.make(seed), kind) for seed in seeds[:8]), key=lambda each: len(each.events))
        print(f"\n{kind}, {len(seeds)} times, in seeds {seeds[:8]}; the smallest:\n{history.policy}")
        print(f"old clients: {sorted(history.old)}; without their machine's id: {sorted(history.silent)}")
        print(f"desired states {'with' if history.writes_ids else 'without'} ids, members listed: {history.is_listed}")
        for event in history.events:
            print(f"  {event}")
        print([text for found, text in history.run().faults if found == kind][:1])
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
