"""Triggers that send assets events of an environment: something new is desired, or tiers have converged."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.consul.steady_clock import SteadyClock
from airflow_provider_chefconsul.domain.event.cursor import Cursor, is_ahead
from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.exceptions import ConsulError
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.triggers.watcher import WatcherTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.tiers_watch import TiersSeen
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.domain.event.change_event import Histories
    from airflow_provider_chefconsul.domain.event.convergence_event import ConvergenceWatch
    from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot


class DesiredStateChangedTrigger(WatcherTrigger):
    """
    Sends one event for each generation of a tier, in order; also for those written while no triggerer ran.

    They come from the history, which keeps the newest 50 of each tier: ``missed`` in the payload counts those that
    left it before an event could be sent. A canary that appears is a generation, and an event; widening, promoting or
    rolling it back makes no generation, so there is no event.
    """

    kind = "desired_state_changed"

    def shared_stream_key(self) -> Hashable:
        """One stream for all triggers that watch the environment."""
        return (self.kind, self.consul_conn_id, self.environment)

    def _watch(self, view: SharedView) -> AsyncGenerator[Histories]:
        from airflow_provider_chefconsul.consul.history_watch import watch_histories

        return watch_histories(view, self.environment)

    async def _begin(self, seen: Histories) -> Cursor:
        from airflow_provider_chefconsul.domain.event.change_event import newest_generations

        return newest_generations(seen, self.tiers)

    async def _find_events(self, seen: Histories, cursor: Cursor) -> AsyncIterator[tuple[dict[str, Any], Cursor]]:
        from airflow_provider_chefconsul.domain.event.change_event import find_changes

        for event in find_changes(self.environment, seen, cursor, self.tiers):
            if event.missed:
                self.log.warning(
                    "%s/%s: no events for %d generations before %d: they have left the history, or cannot be read",
                    self.environment, event.tier, event.missed, event.generation,
                )  # fmt: skip
            yield event.to_payload(), event.cursor


class TierConvergedTrigger(WatcherTrigger):
    """
    Sends one event when a tier has converged on a generation; for several tiers, when all have at the same time.

    There is no event for a generation that was superseded before it was seen converged, nor for a wave before it is
    promoted. A tier that failed or is late is waited for until it converges on this generation or a newer one.

    :param state: only tiers that are assigned this state count; None counts any, even ``off``.
    :param policy: when a tier counts as converged, a :class:`ConvergencePolicy` or its JSON form; its deadlines
        do not matter.
    :param members: who belongs to each tier; see ``ConvergedSensor``.
    """

    kind = "tier_converged"

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str] | None = None,
        state: str | None = None,
        policy: ConvergencePolicy | Mapping[str, Any] | None = None,
        members: str | Sequence[str] = "service",
        consul_conn_id: str = ConsulHook.default_conn_name,
    ) -> None:
        super().__init__(environment=environment, tier=tier, consul_conn_id=consul_conn_id)
        given = ConvergencePolicy.from_fields(policy) if isinstance(policy, Mapping) else policy
        self.policy = check_policy("policy", given or ConvergencePolicy())
        self.state = None if state is None else check_name("state", state)
        self.members = members if isinstance(members, str) else list(members)
        parse_members(members, "any")
        self._clock = SteadyClock()

    @cached_property
    def _seen(self) -> ConvergenceWatch:
        """What it has seen so far; nothing yet where a Dag file only makes the trigger for an asset."""
        from airflow_provider_chefconsul.domain.event.convergence_event import ConvergenceWatch

        return ConvergenceWatch(self.environment, self.policy, self.state)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        return path, {**kwargs, "state": self.state, "policy": self.policy.to_fields(), "members": self.members}

    def shared_stream_key(self) -> Hashable:
        """One stream for all triggers that watch the same tiers; states and policies may differ."""
        tiers = None if self.tiers is None else tuple(self.tiers)
        members = self.members if isinstance(self.members, str) else tuple(self.members)
        return (self.kind, self.consul_conn_id, self.environment, tiers, members)

    def _watch(self, view: SharedView) -> AsyncGenerator[TiersSeen]:
        from airflow_provider_chefconsul.consul.tiers_watch import watch_tiers

        return watch_tiers(view, self.environment, self.tiers, self.members)

    def _interrupt(self) -> None:
        self._seen = self._seen.interrupt()

    async def _begin(self, seen: TiersSeen) -> Cursor | None:
        snapshots = await self._look_again(seen)
        return None if snapshots is None else self._seen.begin(snapshots, now=self._clock.now())

    async def _find_events(self, seen: TiersSeen, cursor: Cursor) -> AsyncIterator[tuple[dict[str, Any], Cursor]]:
        self._seen, event = self._seen.observe(seen.snapshots, now=self._clock.now())
        if event is None or not is_ahead(event.cursor, cursor):
            return
        snapshots = await self._look_again(seen)
        if snapshots is not None:
            self._seen, event = self._seen.observe(snapshots, now=self._clock.now())
            if event is not None and is_ahead(event.cursor, cursor):
                yield event.to_payload(), event.cursor

    async def _look_again(self, seen: TiersSeen) -> Mapping[str, TierSnapshot] | None:
        """The tiers, read once more before an event starts something; None when they cannot be read now.

        They were not all seen at one moment, and a server that has just been elected may have answered from an old
        state.
        """
        try:
            # A node that has been a member since the generation began stays one, though its service may be gone.
            return await seen.look_again({tier: wait.seen_members for tier, wait in self._seen.waits.items()})
        except (ConsulError, RuntimeError) as error:  # httpx: the stream has broken meanwhile, and closed its client
            self.log.info("Cannot look at %s again, waiting: %s", self.environment, error)
            return None
