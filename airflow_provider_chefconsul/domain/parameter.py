"""Parameters as Dag authors give them: literals, or templates and references that Airflow resolves when a task runs.

Literals are checked when the Dag is parsed, so that a name which Consul could never hold is an import error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.name import check_name, check_tiers
from airflow_provider_chefconsul.exceptions import InvalidInput

_FEWEST_KEPT = 2  # generations; a rollback goes back to the one before
_JINJA = re.compile(r"\{[{%#]")


def is_template(value: object) -> bool:
    """Whether it is text that contains Jinja."""
    return isinstance(value, str) and _JINJA.search(value) is not None


def is_reference(value: object) -> bool:
    """Whether Airflow resolves it, or part of it, when the task runs: an XCom, a mapped argument or dag.param()."""
    match value:
        case str():
            return False
        case Mapping():
            return any(map(is_reference, value.values()))
        case list() | tuple() | set():
            return any(map(is_reference, value))
        case _:
            return hasattr(value, "resolve") and hasattr(value, "iter_references")


def is_literal(value: object) -> bool:
    """Whether all of it is literal: no Jinja, no reference."""
    match value:
        case str():
            return not is_template(value)
        case Mapping():
            return all(map(is_literal, value.values()))
        case list() | tuple() | set():
            return all(map(is_literal, value))
        case _:
            return not is_reference(value)


def check_known(**parameters: object) -> None:
    """Refuse references where the value is needed when the Dag is parsed.

    :raises InvalidInput: names the parameter.
    """
    for name, value in parameters.items():
        if is_reference(value):
            raise InvalidInput(
                f"{name} is needed when the Dag is parsed, so it cannot come from a mapped argument, an XCom or "
                f"dag.param(); use a literal"
            )


def check_tier_path(environment: Any, tier: Any) -> None:
    """Check the literal parts of an environment's name and of the names of one or several tiers.

    :raises InvalidInput: names the text that is not a valid name.
    """
    if is_literal(environment):
        check_name("environment", environment)
    if isinstance(tier, (list, tuple)) and tier:
        for name in filter(is_literal, tier):
            check_name("tier", name)
    elif is_literal(tier):
        check_tiers("any", tier)


def check_members(members: Any) -> None:
    """Check the literal parts of the ``members`` parameter.

    :raises InvalidInput: it is malformed.
    """
    if isinstance(members, (list, tuple)) and members:
        for name in filter(is_literal, members):
            check_name("node", name)
    elif is_literal(members):
        parse_members(members, "any")


def check_generation(generation: Any) -> None:
    """Check a literal generation; a mapping is left to the task, which knows its tiers.

    :raises InvalidInput: it is not a number above 0.
    """
    if generation is not None and is_literal(generation) and not isinstance(generation, (Mapping, list, tuple)):
        parse_generations(generation, ["any"])


def check_switch(name: str, value: object) -> bool:
    """Return ``value`` if it is True or False; text such as "no" would count as true.

    :raises InvalidInput: names the parameter.
    """
    if isinstance(value, bool):
        return value
    raise InvalidInput(f"{name} must be True or False, not {value!r}")


def check_reason(reason: object) -> str:
    """Return ``reason`` if it says something.

    :raises InvalidInput: it does not.
    """
    if isinstance(reason, str) and reason.strip():
        return reason.strip()
    raise InvalidInput(f"reason must say why, for those who read the journal, not {reason!r}")


def as_list(generation: Any) -> list[Any]:
    """A list of generations, from a list or from what a mapped task returned, which Airflow reads lazily."""
    is_several = isinstance(generation, Sequence) and not isinstance(generation, str)
    return list(generation) if is_several else [generation]


def parse_generations(generation: Any, tiers: Sequence[str]) -> dict[str, int]:
    """The generation of each tier; a template that is not rendered natively gives a string of digits.

    :param generation: a number, a mapping of tiers to numbers, or what mapped tasks returned: several mappings.
    :raises InvalidInput: it is neither a number above 0 nor a mapping of all the tiers to such numbers.
    """
    if isinstance(generation, Sequence) and not isinstance(generation, str):
        generation = _merge(generation)
    by_tier = generation if isinstance(generation, Mapping) else dict.fromkeys(tiers, generation)
    missing = [tier for tier in tiers if tier not in by_tier]
    if missing:
        raise InvalidInput(f"generation {by_tier!r} has no entry for tier {', '.join(missing)}")
    return {tier: _parse_number(by_tier[tier]) for tier in tiers}


def _merge(mappings: Sequence[Any]) -> Any:
    """One mapping from several; a tier that two tasks wrote gets the newer generation."""
    merged: dict[str, Any] = {}
    for each in mappings:
        if not isinstance(each, Mapping):
            return mappings
        for tier, number in each.items():
            merged[tier] = number if tier not in merged else max(_parse_number(number), _parse_number(merged[tier]))
    return merged


def _parse_number(number: Any) -> int:
    found = number if type(number) is int else parse_number(number)
    if found is not None and found > 0:
        return found
    raise InvalidInput(
        f"generation must be a number above 0, or a mapping of tiers to such numbers, not {number!r}; "
        f"None from an XCom means that the task that should have written it did not"
    )


def parse_history_kept(text: str) -> int:
    """How many generations of each tier are kept.

    :raises InvalidInput: it is not such a number.
    """
    if not text.isdecimal() or int(text) < _FEWEST_KEPT:
        raise InvalidInput(f"[chefconsul] history_kept must be a number from {_FEWEST_KEPT}, not {text!r}")
    return int(text)
