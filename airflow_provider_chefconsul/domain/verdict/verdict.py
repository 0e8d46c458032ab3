"""What a wait comes to: its tier has converged, can still converge, or the wait has failed."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_chefconsul.domain.verdict.standing import Summary


@dataclass(frozen=True, slots=True)
class Converged:
    """The policy is met."""

    summary: Summary


@dataclass(frozen=True, slots=True)
class Waiting:
    """The policy is not met yet, and can still be."""

    summary: Summary


@dataclass(frozen=True, slots=True)
class Failed:
    """The wait has failed; ``is_timeout`` when its deadline passed without another verdict."""

    reason: str
    summary: Summary
    is_timeout: bool = False


Verdict = Converged | Waiting | Failed
