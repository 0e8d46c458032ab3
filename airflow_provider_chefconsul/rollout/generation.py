"""Generations as Dag authors and XComs give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.rollout.number import read_number


def read_generations(generation: Any, tiers: Sequence[str]) -> dict[str, int]:
    """The generation of each tier; a template that is not rendered natively gives a string of digits.

    :raises InvalidInput: it is neither a number above 0 nor a mapping of all the tiers to such.
    """
    by_tier = generation if isinstance(generation, Mapping) else dict.fromkeys(tiers, generation)
    missing = [tier for tier in tiers if tier not in by_tier]
    if missing:
        raise InvalidInput(f"generation {by_tier!r} says nothing of tier {', '.join(missing)}")
    return {tier: _read_number(by_tier[tier]) for tier in tiers}


def _read_number(number: Any) -> int:
    found = number if type(number) is int else read_number(number)
    if found is not None and found > 0:
        return found
    raise InvalidInput(
        f"generation must be a number above 0, or a mapping of tiers to such, not {number!r}; "
        f"None from an XCom means that the task which should have written it did not"
    )
