"""What an author wrote out in a Dag, as against what Airflow puts in its place when a task runs.

What is written out is checked when the Dag is parsed, so that a name which Consul could never hold is an import error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.rollout.generation import read_generations
from airflow_provider_chefconsul.rollout.membership import parse_members
from airflow_provider_chefconsul.rollout.name import check_name, check_tiers

_JINJA = re.compile(r"\{[{%#]")


def is_template(value: object) -> bool:
    """Whether it is text with Jinja in it."""
    return isinstance(value, str) and _JINJA.search(value) is not None


def is_reference(value: object) -> bool:
    """Whether Airflow resolves it, or a part of it, when the task runs: an XCom, a mapping or a Dag's parameter."""
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
    """Whether all of it is written out: no Jinja in it, and no reference."""
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
    """Refuse a reference for what is read when the Dag is parsed.

    :raises InvalidInput: names the parameter.
    """
    for name, value in parameters.items():
        if is_reference(value):
            raise InvalidInput(
                f"{name} is read when the Dag is parsed, so it cannot come from a mapping, an XCom or dag.param(); "
                f"write it out"
            )


def check_place(environment: Any, tier: Any) -> None:
    """Check what is written out of an environment's name and of one or several tiers'.

    :raises InvalidInput: names what has not the form of a name.
    """
    if is_literal(environment):
        check_name("environment", environment)
    if isinstance(tier, (list, tuple)) and tier:
        for name in filter(is_literal, tier):
            check_name("tier", name)
    elif is_literal(tier):
        check_tiers("any", tier)


def check_members(members: Any) -> None:
    """Check what is written out of the ``members`` parameter.

    :raises InvalidInput: it is none of its forms.
    """
    if isinstance(members, (list, tuple)) and members:
        for name in filter(is_literal, members):
            check_name("node", name)
    elif is_literal(members):
        parse_members(members, "any")


def check_generation(generation: Any) -> None:
    """Check a generation that is written out; a mapping is left to the task, which knows its tiers.

    :raises InvalidInput: it is no number above 0.
    """
    if generation is not None and is_literal(generation) and not isinstance(generation, (Mapping, list, tuple)):
        read_generations(generation, ["any"])
