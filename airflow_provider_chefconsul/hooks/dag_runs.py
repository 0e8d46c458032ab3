"""How Dag runs ended, by Airflow's database: for its API server and its commands. Tasks ask the API."""

from __future__ import annotations

from collections.abc import Collection

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun as DagRunModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from sqlalchemy import select, tuple_

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate

_FATES = {DagRunState.FAILED: RunFate.FAILED, DagRunState.SUCCESS: RunFate.SUCCEEDED}


def find_run_ends(runs: Collection[DagRun]) -> dict[DagRun, RunEnd]:
    """How those ended that did; a run is gone when there is its Dag, but not the run.

    Another Airflow may write to the same Consul, so nothing is said of a Dag that this one does not know.
    """
    wanted = [(run.dag_id, run.run_id) for run in runs]
    with create_session(scoped=False) as session:
        columns = (DagRunModel.dag_id, DagRunModel.run_id, DagRunModel.state, DagRunModel.end_date)
        rows = session.execute(select(*columns).where(tuple_(DagRunModel.dag_id, DagRunModel.run_id).in_(wanted))).all()
        dags = set(session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_({run.dag_id for run in runs}))))
    found = {DagRun(dag_id, run_id): (state, end) for dag_id, run_id, state, end in rows}
    ends = {run: RunEnd(_FATES[state], end) for run, (state, end) in found.items() if state in _FATES}
    gone = {run: RunEnd(RunFate.GONE) for run in runs if run not in found and run.dag_id in dags}
    return ends | gone
