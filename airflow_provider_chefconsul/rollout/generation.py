"""Generations as Dag authors and XComs give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.rollout.number import read_number


def as_list(generation: Any) -> list[Any]:
    """Several generations: of a list, or of what a mapped task returned, which Airflow reads piece by piece."""
    is_several = isinstance(generation, Sequence) and not isinstance(generation, str)
    return list(generation) if is_several else [generation]


def read_generations(generation: Any, tiers: Sequence[str]) -> dict[str, int]:
    """The generation of each tier; a template that is not rendered natively gives a string of digits.

    :param generation: a number, a mapping of tiers to such, or what mapped tasks returned: several mappings.
    :raises InvalidInput: it is neither a number above 0 nor a mapping of all the tiers to such.
    """
    if isinstance(generation, Sequence) and not isinstance(generation, str):
        generation = _merge(generation)
    by_tier = generation if isinstance(generation, Mapping) else dict.fromkeys(tiers, generation)
    missing = [tier for tier in tiers if tier not in by_tier]
    if missing:
        raise InvalidInput(f"generation {by_tier!r} says nothing of tier {', '.join(missing)}")
    return {tier: _read_number(by_tier[tier]) for tier in tiers}


def _merge(mappings: Sequence[Any]) -> Any:
    """One mapping of several; a tier that two tasks wrote has the newer generation."""
    merged: dict[str, Any] = {}
    for each in mappings:
        if not isinstance(each, Mapping):
            return mappings
        for tier, number in each.items():
            merged[tier] = number if tier not in merged else max(_read_number(number), _read_number(merged[tier]))
    return merged


def _read_number(number: Any) -> int:
    found = number if type(number) is int else read_number(number)
    if found is not None and found > 0:
        return found
    raise InvalidInput(
        f"generation must be a number above 0, or a mapping of tiers to such, not {number!r}; "
        f"None from an XCom means that the task which should have written it did not"
    )
