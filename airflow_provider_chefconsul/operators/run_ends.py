"""How Dag runs ended, by Airflow's API, which is what a task may ask."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_chefconsul.domain.model.lease import DagRun
    from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd


def find_run_ends(instance: Any, runs: Collection[DagRun]) -> Mapping[DagRun, RunEnd]:
    """How those ended that did; a run is gone when there are others of its Dag, but not this one.

    Nothing is said of a Dag without runs here, since other Airflows may write to the same Consul, nor of one that has
    another run under way, which may repeat the waves of the one before and go on.

    :param instance: the running task instance.
    """
    from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate

    ends = {}
    for run in runs:
        count = partial(instance.get_dr_count, run.dag_id)  # where a run is missing, it counts none and raises nothing
        if count(states=["running", "queued"]) > (run.dag_id == instance.dag_id):  # its own one is under way
            continue
        if count(run_ids=[run.run_id], states=["failed"]):
            ends[run] = RunEnd(run, RunFate.FAILED)
        elif count(run_ids=[run.run_id], states=["success"]):
            ends[run] = RunEnd(run, RunFate.SUCCEEDED)
        elif not count(run_ids=[run.run_id]) and count():
            ends[run] = RunEnd(run, RunFate.GONE)
    return ends
