"""What is written, checked twice: what an author wrote out at parsing, and what templates became in a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.rollout.change import parse_change
from airflow_provider_chefconsul.rollout.desired import Writer
from airflow_provider_chefconsul.rollout.literal import is_literal, is_reference, is_template
from airflow_provider_chefconsul.rollout.sequence import read_sequence

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

_ANY = Writer("any", "any", "any")


def check_written_change(
    *, state: Any, values: Any, canary: Any, spread: Any, allowed_from: Any, sequence: Any
) -> None:
    """Check what is written out of the parameters of a change; the rest is left to the task.

    :raises InvalidInput: names the parameter that can never be written.
    """
    if isinstance(values, Mapping):
        values = {name: value if is_literal(value) else "" for name, value in values.items()}
    if isinstance(allowed_from, (list, tuple)):
        allowed_from = [name for name in allowed_from if is_literal(name)]
    parse_change(
        state=state if is_literal(state) else "any",
        writer=_ANY,
        values=values if is_literal(values) else None,
        canary=canary if is_literal(canary) else None,
        spread=spread if is_literal(canary) else None,
        allowed_from=allowed_from if is_literal(allowed_from) else None,
    )
    check_sequence(sequence)


def check_sequence(sequence: Any) -> None:
    """Check a sequence that is written out; a task takes none, and text that says so, for the Dag run's own.

    :raises InvalidInput: it is no logical time.
    """
    if sequence not in (None, "", "None") and is_literal(sequence):
        read_sequence(sequence)


def find_templates(values: Any) -> dict[str, str]:
    """By name, the values that are templates."""
    if is_reference(values) or not isinstance(values, Mapping):
        return {}
    return {name: value for name, value in values.items() if is_template(value)}


def check_rendered(values: Any, templates: Mapping[str, str], log: Logger) -> None:
    """Refuse a number with a fraction that was a template: with native rendering, release "2.10" has become 2.1.

    Nobody can tell any more what it was. Another type is what the author wanted native rendering for, or not: it is
    written, and the log says so.

    :param templates: by name, the values that were templates.
    :raises InvalidInput: names the value, and says how to keep its text.
    """
    if not isinstance(values, Mapping):
        return
    for name, template in templates.items():
        value = values.get(name)
        if isinstance(value, float):
            quoted = f"'{template}'"
            raise InvalidInput(
                f"values[{name!r}]: template {template!r} became the number {value!r}, as this Dag renders templates "
                f'natively, which makes 2.1 of "2.10"; for text, quote the template once more, '
                f'"{quoted}"; for a number, take it from an XCom or from dag.param()'
            )
        if not isinstance(value, str):
            log.info(
                "values[%r] is written as %s, not as text: %r became %r", name, type(value).__name__, template, value
            )
