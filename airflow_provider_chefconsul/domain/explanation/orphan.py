"""What is said of a rollout whose Dag run has ended in the middle of it."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_chefconsul.domain.moment import ago
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate

_FATES = {
    RunFate.FAILED: "failed",
    RunFate.SUCCEEDED: "succeeded",
    RunFate.GONE: "is not in this Airflow, or no longer,",
    RunFate.FENCED: "lost the environment's lease",
}


def explain_orphan(orphan: RunEnd, *, now: datetime) -> str:
    """Who left the canary out, since when, and what to do about it."""
    return f"orphaned: {orphan.run} {describe_end(orphan, now=now)}; {describe_ways_on(orphan)}"


def describe_end(end: RunEnd, *, now: datetime) -> str:
    """What became of a Dag run, to follow its name: "failed 3 hours ago and left its canary out"."""
    return " ".join(filter(None, (_FATES[end.fate], ago(end.at, now), "and left its canary out")))


def describe_ways_on(end: RunEnd) -> str:
    """What a person can do about the canary, in the words of the board's buttons."""
    clear = ", or clear the task that failed" if end.fate is RunFate.FAILED else ""
    return f"nothing moves by itself: promote or abort it{clear}"
