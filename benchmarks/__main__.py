"""`make bench`: the benchmarks, one after the other; exits with 1 when one misses a target.

`benchmarks.event_delivery` runs a whole Airflow for ten minutes, so it is not among them.
"""

from __future__ import annotations

import sys

from benchmarks import convergence, exec_fan_out, lease_race, simulated_fleet

if __name__ == "__main__":
    sys.exit(max(each.main([]) for each in (exec_fan_out, lease_race, convergence, simulated_fleet)))
