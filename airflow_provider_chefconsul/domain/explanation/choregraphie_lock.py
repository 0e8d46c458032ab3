"""What is said of a lock of choregraphie: who holds it, for how long, and who may wait for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from airflow_provider_chefconsul.domain.model.choregraphie_lock import ChoregraphieLock
from airflow_provider_chefconsul.domain.model.membership import Member, Members
from airflow_provider_chefconsul.domain.model.name import twins
from airflow_provider_chefconsul.domain.moment import read_moment, span
from airflow_provider_chefconsul.domain.text import list_some, one_line

_NAMED = 8  # nodes


def explain_lock(lock: ChoregraphieLock, running: Iterable[str], members: Members, *, now: datetime) -> str:
    """Explain a lock in one line.

    Nodes that wait leave no trace in it, so those that run and do not hold it are named as ones that may. Holders
    have the names that choregraphie was given, often the full one of a machine that Consul lists by its short one.

    :param running: nodes that run now.
    :param members: of the tier, to say which holders are not alive.
    """
    same = twins(lock.holders, members)
    found = {node: members.get(node) or members.get(same.get(node, "")) for node in lock.holders}
    kind = "racks" if lock.racks else "nodes"
    text = f"lock {lock.key}: {lock.in_use} of {lock.concurrency} {kind}"
    if lock.holders:
        holders = [_describe(node, since, found[node], now=now) for node, since in lock.holders.items()]
        text += f", held by {list_some(holders, _NAMED)}"
    waiting = sorted(set(running) - {member.node for member in found.values() if member})
    if lock.is_full and waiting:
        text += f"; {list_some(waiting, _NAMED)} may wait for it"
    return one_line(text)


def _describe(node: str, since: str, member: Member | None, *, now: datetime) -> str:
    moment = read_moment(since)
    text = f"{node} for {span(moment, now)}" if moment else node
    return text if member is None or member.is_present else f"{text} (its agent is not alive)"
