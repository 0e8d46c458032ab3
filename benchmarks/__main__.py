"""`make bench`: every benchmark, one after the other; exits with 1 when one misses a target."""

from __future__ import annotations

import sys

from benchmarks import convergence, exec_fan_out

if __name__ == "__main__":
    sys.exit(max(exec_fan_out.main([]), convergence.main([])))
