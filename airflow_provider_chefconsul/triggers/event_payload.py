"""What a trigger sends to the task that resumes. It comes through Airflow's database, so reading checks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from airflow_provider_chefconsul.exceptions import ChefConsulError

T = TypeVar("T")


def describe_error(error: ChefConsulError) -> str:
    """An error as the text that an event carries: the name of its class, and its message."""
    return f"{type(error).__name__}: {error}"


def read_event(event: Any, expected: str, read: Callable[[Any], T]) -> T:
    """Read an event.

    :param expected: what the event should be, for the error to say.
    :param read: makes a value of the event's fields; may fail as Python does on a missing or wrong field.
    :raises ChefConsulError: the event is not what a trigger of this version, or of the one before, sends.
    """
    try:
        return read(event)
    except (TypeError, LookupError, ValueError, AttributeError) as error:
        raise ChefConsulError(
            f"the trigger's event is not {expected}: {event!r}; clear the task to start it again"
        ) from error


def read_answer(event: Any, expected: str, read: Callable[[Any], T]) -> T:
    """Read an event that carries an ``error``, empty when all went well, beside what was asked for.

    :raises ChefConsulError: it carries an error, or is not such an event.
    """
    error, answer = read_event(event, expected, lambda fields: (fields["error"], read(fields)))
    if error:
        raise ChefConsulError(error)
    return answer
