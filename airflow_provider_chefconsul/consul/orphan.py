"""Rollouts that their Dag runs have left in the middle, by what Consul and Airflow know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.journal import read_journal
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate, find_orphan, find_runs_to_ask_for
from airflow_provider_chefconsul.exceptions import AccessDenied, MalformedDocument

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

FindRunEnds = Callable[[Collection[DagRun]], Mapping[DagRun, RunEnd] | None]
"""Asks Airflow, in a thread, how Dag runs ended; those that go on, or that it does not know, are left out.

None when Airflow does not answer.
"""


async def find_orphans(
    view: SharedView,
    environment: str,
    tiers: Mapping[str, DesiredState | Unreadable | None],
    lease: Lease | Unreadable | None,
    find_run_ends: FindRunEnds | None,
) -> dict[str, RunEnd]:
    """By tier with a canary that was left out, how the Dag run ended that rolled it.

    Without a canary nothing is read and nobody is asked. What the token may not read tells nothing.

    :param tiers: by tier, what is desired of it.
    :param lease: the environment's, if any.
    :param find_run_ends: None where there is no Airflow to ask; then only a lost lease tells.
    """
    runs = find_runs_to_ask_for(tiers.values(), lease)
    if not runs:
        return {}
    asked = None if find_run_ends is None else await asyncio.to_thread(find_run_ends, runs)
    ends = await add_fenced(view, environment, runs, asked or {})
    entries: list[JournalEntry] = []
    if ends:
        with suppress(AccessDenied):
            entries = await read_journal(view, environment)
    found = {tier: find_orphan(tier, desired, ends, entries=entries, lease=lease) for tier, desired in tiers.items()}
    return {tier: end for tier, end in found.items() if end is not None}


async def add_fenced(
    view: SharedView, environment: str, runs: Collection[DagRun], ends: Mapping[DagRun, RunEnd]
) -> dict[DagRun, RunEnd]:
    """The ends, with those of runs that have lost the environment's lease: Consul refuses what they write."""
    found = dict(ends)
    for run in set(runs) - ends.keys():
        mark, taken_at = view.keys.lost_lease(environment, run.dag_id, run.run_id), None
        try:
            entry = await view.client.get(mark)
            if entry is None:
                continue
            taken_at = read_moment(Lease.from_json(mark, entry.value).acquired_at)
        except AccessDenied:
            continue
        except MalformedDocument:
            pass  # whatever it says, it is there, and the Dag run is refused
        found[run] = RunEnd(run, RunFate.FENCED, taken_at)
    return found
