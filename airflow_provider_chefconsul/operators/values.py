"""What is written, checked twice: what an author wrote out at parsing, and what templates became in a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.domain.model.desired import Writer
from airflow_provider_chefconsul.domain.parameter import is_literal, is_reference, is_template
from airflow_provider_chefconsul.domain.write.change import parse_change
from airflow_provider_chefconsul.domain.write.sequence import parse_sequence
from airflow_provider_chefconsul.exceptions import InvalidInput

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
        parse_sequence(sequence)


def find_texts(values: Any) -> dict[str, str]:
    """By name, the values that are text as the author wrote them, with Jinja or without."""
    if is_reference(values) or not isinstance(values, Mapping):
        return {}
    return {name: value for name, value in values.items() if isinstance(value, str)}


def keep_texts(values: Any, texts: Mapping[str, str], log: Logger) -> Any:
    """Undo what native rendering makes of text, where that can be told.

    A Dag with ``render_template_as_native_obj=True`` reads all rendered text as a Python literal, so that release
    "2.10" becomes 2.1. Text without Jinja is put back. A template that became a number with a fraction is refused, as
    nobody can tell what it was. Another type is what the author wanted native rendering for, or not: the log says so.

    :param texts: as :func:`find_texts` gave them before the templates were rendered.
    :raises InvalidInput: names the value, and says how to keep its text.
    """
    if not isinstance(values, Mapping):
        return values
    kept = dict(values)
    for name, text in texts.items():
        value = values.get(name)
        if isinstance(value, str):
            continue
        if not is_template(text):
            kept[name] = text
        elif isinstance(value, float):
            quoted = f"'{text}'"
            raise InvalidInput(
                f"values[{name!r}]: template {text!r} became the number {value!r}, as this Dag renders templates "
                f'natively, which makes 2.1 of "2.10"; for text, quote the template once more, '
                f'"{quoted}"; for a number, take it from an XCom or from dag.param()'
            )
        else:
            log.info("values[%r] is written as %s, not as text: %r became %r", name, type(value).__name__, text, value)
    return kept
