"""Telling the journal what a wait found: once for each generation and verdict."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.journal import append, now_written
from airflow_provider_chefconsul.domain.model.canary import BUCKETS
from airflow_provider_chefconsul.domain.model.desired import Canary, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Selector
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed
from airflow_provider_chefconsul.exceptions import ChefConsulError, TransactionConflict

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.tier_wait import WaitResult
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus

log = logging.getLogger(__name__)
_NAMED = 8  # nodes that an entry names


async def journal_verdicts(
    view: SharedView,
    environment: str,
    results: Mapping[str, WaitResult],
    by: Writer,
    *,
    selectors: Mapping[str, Selector],
    wave: tuple[int, int] | None = None,
) -> None:
    """Append the verdicts of a wait that has ended; an entry that cannot be written is only logged.

    :param by: who waited.
    :param selectors: by tier, who was waited for; nodes that are listed by name are only a part of a tier.
    :param wave: which wave of a rollout was waited for, and of how many.
    """
    for entry in _entries(results, by, selectors, wave):
        try:
            await append(view, environment, entry)
        except TransactionConflict:  # another wait appended it in the same millisecond
            continue
        except ChefConsulError as error:  # what it makes good can be waited for again
            log.warning("%s: the journal does not tell that the wait %s: %s", environment, entry.act, error)


def _entries(
    results: Mapping[str, WaitResult], by: Writer, selectors: Mapping[str, Selector], wave: tuple[int, int] | None
) -> Iterator[JournalEntry]:
    """One for each tier, since others may wait for some of them only."""
    for tier, result in results.items():
        desired, verdict = result.verdict.status.desired, result.verdict
        if not isinstance(desired, DesiredState) or result.wait.generation not in desired.generations:
            continue  # the entry of what superseded it tells
        tiers = {tier: desired.assignment_at(result.wait.generation)}
        part = _part(desired, verdict.status, selectors[tier], wave)
        if isinstance(verdict, Converged):
            yield JournalEntry(now_written(), by, JournalAct.CONVERGED, tiers, part)
        elif isinstance(verdict, Failed):
            yield JournalEntry(now_written(), by, JournalAct.FAILED, tiers, part, verdict.reason)


def _part(
    desired: DesiredState, status: TierStatus, selector: Selector, wave: tuple[int, int] | None
) -> JournalWave | None:
    """The part of the tier that was waited for; None for all of it, whose convergence makes a generation good."""
    if desired.canary is None and isinstance(selector, ListedMembers):
        return JournalWave(f"nodes {list_some(selector.nodes, _NAMED)}")
    if desired.canary is None:
        return None
    number, of = wave or (None, None)
    return JournalWave(_describe_size(desired.canary, status), number, of)


def _describe_size(canary: Canary, status: TierStatus) -> str:
    """How many nodes the canary covered, where a share of all names does not say it better."""
    if canary.threshold in {0, BUCKETS}:
        return canary.describe_nodes()
    covered = sum(node.is_assigned(canary.assignment.generation) for node in status.nodes.values())
    return f"{covered} node{'' if covered == 1 else 's'}"
