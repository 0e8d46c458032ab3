"""How the Dag runs ended whose canaries are out; Consul says nothing when one does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress

from airflow_provider_chefconsul.consul.orphan import FindRunEnds
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd
from airflow_provider_chefconsul.exceptions import ConsulUnavailable

ASK_EVERY = 4.0  # seconds
AddFenced = Callable[[Collection[DagRun], Mapping[DagRun, RunEnd]], Awaitable[Mapping[DagRun, RunEnd]]]


class RunEnds:
    """The ends that one viewer is told of, asked for anew now and then.

    :param find_run_ends: asks Airflow.
    :param add_fenced: adds what Consul knows.
    """

    def __init__(self, find_run_ends: FindRunEnds, add_fenced: AddFenced) -> None:
        self._find_run_ends = find_run_ends
        self._add_fenced = add_fenced
        self._runs: Collection[DagRun] = ()
        self._asked: Mapping[DagRun, RunEnd] = {}
        self._ends: Mapping[DagRun, RunEnd] = {}
        self._due = 0.0

    async def find(self, runs: Collection[DagRun]) -> Mapping[DagRun, RunEnd]:
        """How those ended that did, as of a few seconds ago, or of when Airflow answered last."""
        now = asyncio.get_running_loop().time()
        if runs and (runs != self._runs or now >= self._due):
            self._due = now + ASK_EVERY
            found = await asyncio.to_thread(self._find_run_ends, runs)
            if found is not None:
                self._asked = found
            with suppress(ConsulUnavailable):  # the page says that already
                self._ends = await self._add_fenced(runs, self._asked)
        self._runs = runs
        return self._ends if runs else {}

    @property
    def is_asked(self) -> bool:
        """Whether a canary of a Dag run is out, so that it must be asked for again."""
        return bool(self._runs)
