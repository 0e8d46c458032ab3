"""Names that are nearly the same: a mistyped one, or one machine under two names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from airflow_provider_chefconsul.rollout.name import natural_order


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody who wrote ``name`` most likely meant; None when none is near.

    The same machine under another spelling comes before a name that only looks alike.

    :param known: may hold ``name`` itself, which is never the answer.
    """
    others = sorted(set(known) - {name}, key=natural_order)
    if same := twin(name, others):
        return same
    by_folded = {other.casefold(): other for other in reversed(others)}
    close = get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


def twin(name: str, known: Iterable[str]) -> str | None:
    """The known name that is the same machine's in another spelling; None when there is none.

    Such are names that differ in case only, and a short host name with its fully qualified one. Two fully qualified
    names of different domains are two machines; web-1 and web-2 are, too, however alike they look.
    """
    return twins([name], known).get(name)


def twins(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """By name, its :func:`twin` among the known names, for those that have one; each name is looked at once."""
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
