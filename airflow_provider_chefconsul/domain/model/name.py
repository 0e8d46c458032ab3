"""The form of names: environments, tiers, nodes and states; and names that are nearly the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from airflow_provider_chefconsul.exceptions import InvalidInput

NAME_FORM = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_NAME = re.compile(NAME_FORM)
_DIGITS = re.compile("[0-9]+")


def is_name(text: object) -> bool:
    """Whether ``text`` is a valid name of an environment, tier, node or state: 1 to 128 safe characters."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


@lru_cache(maxsize=1 << 16)
def natural_order(name: str) -> tuple[str, str]:
    """A sort key that puts web-2 before web-10; unique per name."""
    return _DIGITS.sub(_sortable, name), name


def check_name(kind: str, text: object) -> str:
    """Return ``text`` if it is a valid name.

    :raises InvalidInput: names the kind and the text, and describes the form.
    """
    if isinstance(text, str) and is_name(text):
        return text
    raise InvalidInput(
        f"{kind} {text!r} is not a name: 1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit"
    )


def check_tiers(environment: str, tier: str | Sequence[str]) -> list[str]:
    """The tiers that an operator's parameter names.

    :raises InvalidInput: names the text that is not a valid name.
    """
    check_name("environment", environment)
    if not isinstance(tier, (str, list, tuple)):
        raise InvalidInput(f"tier must be a name or a list of names, not {tier!r}")
    tiers = [tier] if isinstance(tier, str) else list(tier)
    if not tiers:
        raise InvalidInput("tier is an empty list; name at least one")
    return [check_name("tier", name) for name in tiers]


def _sortable(digits: re.Match[str]) -> str:
    """A number as text that sorts numerically: its length, then its digits."""
    number = digits[0].lstrip("0")
    return f"{len(number):05}{number}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant by ``name``; None if none is close.

    Another spelling of the same machine's name is preferred to one that merely looks similar.

    :param known: may contain ``name`` itself, which is never returned.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only an error needs it, and each Dag file would pay

    others = sorted(set(known) - {name}, key=natural_order)
    if same := twin(name, others):
        return same
    by_folded = {other.casefold(): other for other in reversed(others)}
    close = get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


def twin(name: str, known: Iterable[str]) -> str | None:
    """The known name that is another spelling of the same machine's, or None.

    Names that differ only in case, or a short host name and its fully qualified one. Fully qualified names in different
    domains are different machines, and so are web-1 and web-2.
    """
    return twins([name], known).get(name)


def twins(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """By name, its :func:`twin` among the known names, for those that have one; linear in the number of names."""
    by_folded: dict[str, list[str]] = {}
    by_short: dict[str, list[str]] = {}
    for other in sorted(set(known), key=natural_order):
        folded = other.casefold()
        by_folded.setdefault(folded, []).append(other)
        by_short.setdefault(folded.partition(".")[0], []).append(other)
    found = {}
    for name in names:
        folded = name.casefold()
        short, _, domain = folded.partition(".")
        same = by_folded.get(folded, []) + [other for other in by_short.get(short, []) if not (domain and "." in other)]
        others = [other for other in same if other != name]
        if others:
            found[name] = others[0]
    return found
