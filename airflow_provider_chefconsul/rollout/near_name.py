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
    folded = name.casefold()
    by_folded = {other.casefold(): other for other in sorted(set(known) - {name}, key=natural_order)}
    if folded in by_folded:
        return by_folded[folded]
    short, _, domain = folded.partition(".")
    for other, spelled in by_folded.items():
        other_short, _, other_domain = other.partition(".")
        if short == other_short and not (domain and other_domain):
            return spelled
    return None
