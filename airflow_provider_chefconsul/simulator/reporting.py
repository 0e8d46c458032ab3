"""What simulated nodes say in their reports, beside what every node says."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_chefconsul import __version__
from airflow_provider_chefconsul.rollout.report import RunError

CLIENT = f"simulated {__version__}"


def told_to_fail(by: str) -> RunError:
    """The error of a run that was told to fail."""
    return RunError("SimulatedFailure", f"the run was told to fail ({by})", "simulated[failure]")


def now() -> str:
    """The time as reports state it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
