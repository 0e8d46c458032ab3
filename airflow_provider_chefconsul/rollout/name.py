"""The form of names: environments, tiers, nodes and states."""

import re
from collections.abc import Sequence

from airflow_provider_chefconsul.exceptions import InvalidInput

NAME_FORM = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_NAME = re.compile(NAME_FORM)
_DIGITS = re.compile("[0-9]+")


def is_name(text: object) -> bool:
    """Whether ``text`` can name an environment, tier, node or state: up to 128 safe characters."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def natural_order(name: str) -> tuple[str, str]:
    """A sort key that puts web-2 before web-10; no two names have the same."""
    return _DIGITS.sub(_sortable, name), name


def check_name(kind: str, text: object) -> str:
    """Return ``text`` when it is a name.

    :raises InvalidInput: names the kind and the text, and says the form.
    """
    if isinstance(text, str) and is_name(text):
        return text
    raise InvalidInput(
        f"{kind} {text!r} is not a name: 1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit"
    )


def check_tiers(environment: str, tier: str | Sequence[str]) -> list[str]:
    """The tiers that an operator's parameter names.

    :raises InvalidInput: names what has not the form of a name.
    """
    check_name("environment", environment)
    if not isinstance(tier, (str, list, tuple)):
        raise InvalidInput(f"tier must be a name or a list of names, not {tier!r}")
    tiers = [tier] if isinstance(tier, str) else list(tier)
    if not tiers:
        raise InvalidInput("tier is an empty list; name at least one")
    return [check_name("tier", name) for name in tiers]


def _sortable(digits: re.Match[str]) -> str:
    """A number as text that sorts as it counts: its length before it."""
    number = digits[0].lstrip("0")
    return f"{len(number):05}{number}"
