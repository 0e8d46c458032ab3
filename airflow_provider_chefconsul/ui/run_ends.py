"""How the Dag runs ended whose canaries are out; Consul says nothing when one does."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from airflow_provider_chefconsul.consul.orphan import FindRunEnds
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd

ASK_EVERY = 4.0  # seconds


class RunEnds:
    """The ends that one viewer is told of, asked for anew now and then."""

    def __init__(self, ask: FindRunEnds) -> None:
        self._ask = ask
        self._runs: Collection[DagRun] = ()
        self._ends: Mapping[DagRun, RunEnd] = {}
        self._due = 0.0

    async def find(self, runs: Collection[DagRun]) -> Mapping[DagRun, RunEnd]:
        """How those ended that did, as of a few seconds ago."""
        now = asyncio.get_running_loop().time()
        if runs and (runs != self._runs or now >= self._due):
            self._ends = await asyncio.to_thread(self._ask, runs)
            self._due = now + ASK_EVERY
        self._runs = runs
        return self._ends if runs else {}

    @property
    def is_asked(self) -> bool:
        """Whether a canary of a Dag run is out, so that it must be asked for again."""
        return bool(self._runs)
