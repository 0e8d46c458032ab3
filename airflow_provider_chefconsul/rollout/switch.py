"""Switches as Dag authors give them."""

from __future__ import annotations

from airflow_provider_chefconsul.exceptions import InvalidInput


def check_switch(name: str, value: object) -> bool:
    """Return ``value`` when it is True or False; text such as "no" would be taken for yes.

    :raises InvalidInput: names the parameter.
    """
    if isinstance(value, bool):
        return value
    raise InvalidInput(f"{name} must be True or False, not {value!r}")
