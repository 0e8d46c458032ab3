"""One viewer's server-sent events: an environment and its tiers, first in full, then what changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow_provider_chefconsul.consul.journal_watch import JournalState
from airflow_provider_chefconsul.consul.orphan import FindRunEnds
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.domain.verdict.orphan import find_orphan, find_runs_to_ask_for
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.ui.document import (
    dag_ids_of,
    describe_cells,
    describe_lease,
    describe_tier,
    explain,
)
from airflow_provider_chefconsul.ui.feed import Feed, Hub
from airflow_provider_chefconsul.ui.journal import dag_ids_of_journal, describe_journal
from airflow_provider_chefconsul.ui.pace import describe_pace
from airflow_provider_chefconsul.ui.rights import Rights
from airflow_provider_chefconsul.ui.run_ends import ASK_EVERY, RunEnds
from airflow_provider_chefconsul.ui.situation import describe_situation, owners_of
from airflow_provider_chefconsul.ui.source import (
    EnvironmentState,
    add_fenced_runs,
    watch_acts,
    watch_environment,
    watch_tier,
)
from airflow_provider_chefconsul.ui.tier_state import TierState, changed_cells

# Then the page reconnects, so that viewers do not hold up an API server that stops, and see nothing new after they have
# lost a permission.
LONGEST_STREAM = 50.0  # seconds
_KEEP_ALIVE = 10.0  # seconds
_AGES_EVERY = 4.0  # seconds, after which "11 seconds ago" is outdated
_RETRY = 200  # milliseconds
_JOURNAL = "_journal"  # beside the tiers, whose names begin otherwise


@dataclass(slots=True)
class _Sent:
    """What a viewer was sent of a tier."""

    state: TierState | None = None
    explained: list[dict[str, Any]] = field(default_factory=list)
    pace: dict[str, Any] | None = None

    @property
    def has_ages(self) -> bool:
        """Whether it says for how long something has been so."""
        return bool(self.explained) or (self.pace is not None and bool(self.pace["stuck"]))


async def stream(
    hub: Hub,
    viewer: Rights,
    connection_id: str,
    environment: str,
    tiers: Sequence[str],
    *,
    find_run_ends: FindRunEnds,
    seconds: float = LONGEST_STREAM,
) -> AsyncGenerator[str]:
    """Server-sent events.

    ``environment`` and ``journal``; ``tier`` (whole), ``nodes`` (changed) and ``explained``; ``situation``, which rests
    on all of these; ``unavailable``.

    :param find_run_ends: asks Airflow how Dag runs ended.
    """
    wake = asyncio.Event()
    end = asyncio.get_running_loop().time() + seconds
    yield f"retry: {_RETRY}\n\n"
    with ExitStack() as stack:
        whole = stack.enter_context(
            hub.follow((connection_id, environment), partial(watch_environment, connection_id, environment), wake)
        )
        acts = stack.enter_context(
            hub.follow((connection_id, environment, _JOURNAL), partial(watch_acts, connection_id, environment), wake)
        )
        feeds = {
            tier: stack.enter_context(
                hub.follow(
                    (connection_id, environment, tier), partial(watch_tier, connection_id, environment, tier), wake
                )
            )
            for tier in tiers
        }
        run_ends = RunEnds(find_run_ends, partial(add_fenced_runs, connection_id, environment))
        writer = _EventWriter(viewer, environment, run_ends)
        while (left := end - asyncio.get_running_loop().time()) > 0:
            wake.clear()
            for event in [event async for event in writer.events(whole, acts, feeds)]:
                yield event
            try:
                async with asyncio.timeout(min(left, writer.pause)):
                    await wake.wait()
            except TimeoutError:
                yield ": still here\n\n"


class _EventWriter:
    """What a viewer has been sent, and what is due."""

    def __init__(self, viewer: Rights, environment: str, run_ends: RunEnds) -> None:
        self._viewer = viewer
        self._run_ends = run_ends
        self._environment = environment
        self._environment_state: EnvironmentState | None = None
        self._acts: JournalState | None = None
        self._situation: dict[str, Any] = {}
        self._sent: dict[str, _Sent] = {}
        self._trouble: ChefConsulError | None = None
        self._is_available = False

    @property
    def pause(self) -> float:
        """Seconds after which an event is due even when nothing changes."""
        if any(sent.has_ages for sent in self._sent.values()):
            return _AGES_EVERY
        return ASK_EVERY if self._run_ends.is_asked else _KEEP_ALIVE

    async def events(
        self, whole: Feed[EnvironmentState], acts: Feed[JournalState], feeds: Mapping[str, Feed[TierState]]
    ) -> AsyncGenerator[str]:
        """The events that are due."""
        everything: list[Feed[Any]] = [whole, acts, *feeds.values()]
        for feed in everything:
            feed.check()
        trouble = next((feed.trouble for feed in everything if feed.trouble), None)
        if trouble is not None:
            self._is_available = False
            if trouble is not self._trouble:
                yield _event("unavailable", {"message": one_line(str(trouble))})
        elif not self._is_available and all(feed.latest is not None for feed in everything):
            self._is_available = True  # also at first: the page may still show what ended its last stream
            yield _event("available", {})
        self._trouble = trouble
        if whole.latest is not None and whole.latest != self._environment_state:
            self._environment_state = whole.latest
            yield _event("environment", await self._describe_environment(whole.latest))
        if acts.latest is not None and acts.latest is not self._acts:
            self._acts = acts.latest
            await self._viewer.learn(dag_ids_of_journal(acts.latest))
            yield _event("journal", describe_journal(acts.latest, self._viewer.may_read))
        for tier, feed in feeds.items():
            sent = self._sent.setdefault(tier, _Sent())
            if feed.latest is not None and feed.latest is not sent.state:
                yield await self._describe_tier(sent, feed.latest)
            elif sent.state is not None and (aged := self._explain_again(sent, sent.state)):
                yield aged
        states = {tier: sent.state for tier, sent in self._sent.items() if sent.state is not None}
        if self._acts is not None and states.keys() == feeds.keys():  # without the worst tier, all would look well
            await self._viewer.learn_rights(owners_of(states).values())
            lease = self._environment_state.lease if self._environment_state else None
            runs = find_runs_to_ask_for([state.status.desired for state in states.values()], lease)
            ends = await self._run_ends.find(runs)
            orphans = {
                tier: find_orphan(tier, state.status.desired, ends, entries=self._acts.entries, lease=lease)
                for tier, state in states.items()
            }
            situation = describe_situation(states, self._acts, orphans, self._viewer, now=datetime.now(UTC))
            if situation != self._situation:
                self._situation = situation
                yield _event("situation", situation)

    async def _describe_environment(self, state: EnvironmentState) -> dict[str, Any]:
        await self._viewer.learn(dag_ids_of(None, state.lease))
        return {
            "environment": self._environment,
            "tiers": list(state.tiers),
            "lease": describe_lease(state.lease, self._viewer.may_read),
        }

    async def _describe_tier(self, sent: _Sent, state: TierState) -> str:
        await self._viewer.learn(dag_ids_of(state, None))
        fields = describe_tier(state, self._viewer.may_read, now=datetime.now(UTC))
        is_first = sent.state is None
        changed, gone = changed_cells(sent.state.status if sent.state else None, state.status)
        sent.state, sent.explained, sent.pace = state, fields["explained"], fields["pace"]
        fields |= {"nodes": describe_cells(changed), "gone": gone}
        return _event("tier" if is_first else "nodes", fields)

    @staticmethod
    def _explain_again(sent: _Sent, state: TierState) -> str | None:
        """The explanations again, if their ages have changed, or if a node takes long by now."""
        now = datetime.now(UTC)
        explained, pace = explain(state, now=now), describe_pace(state, now=now)
        if (explained, pace) == (sent.explained, sent.pace):
            return None
        sent.explained, sent.pace = explained, pace
        return _event("explained", {"tier": state.tier, "explained": explained, "pace": pace})


def _event(name: str, fields: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(fields, separators=(',', ':'))}\n\n"
