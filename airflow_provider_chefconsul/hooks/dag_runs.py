"""How Dag runs ended, by Airflow's database: for its API server and its commands. Tasks ask the API."""

from __future__ import annotations

import logging
from collections.abc import Collection

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun as DagRunModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate

log = logging.getLogger(__name__)
_FATES = {DagRunState.FAILED: RunFate.FAILED, DagRunState.SUCCESS: RunFate.SUCCEEDED}
_ACTIVE = (DagRunState.RUNNING, DagRunState.QUEUED)


def find_run_ends(runs: Collection[DagRun]) -> dict[DagRun, RunEnd] | None:
    """How those ended that did; a run is gone when there is its Dag, but not the run.

    Nothing is said of a Dag that this Airflow does not know, since others may write to the same Consul, nor of one that
    has another run under way, which may repeat the waves of the one before and go on.

    :returns: None, with a warning, when the database does not answer.
    """
    try:
        with create_session(scoped=False) as session:
            return _find_run_ends(session, runs)
    except SQLAlchemyError as error:
        cause = str(error).partition("\n")[0]
        log.warning("whether the Dag runs go on that left a canary out is not known: %s", cause)
        return None


def _find_run_ends(session: Session, runs: Collection[DagRun]) -> dict[DagRun, RunEnd]:
    dag_ids = {run.dag_id for run in runs}
    known = set(session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_(dag_ids))))
    of_dags = select(DagRunModel.dag_id).where(DagRunModel.dag_id.in_(dag_ids))
    active = set(session.scalars(of_dags.where(DagRunModel.state.in_(_ACTIVE)).distinct()))
    ends = {}
    for run in runs:
        if run.dag_id not in known - active:
            continue
        found = session.execute(
            select(DagRunModel.state, DagRunModel.end_date).where(
                DagRunModel.dag_id == run.dag_id, DagRunModel.run_id == run.run_id
            )
        ).one_or_none()
        if found is None:
            ends[run] = RunEnd(run, RunFate.GONE)
        elif found.state in _FATES:
            ends[run] = RunEnd(run, _FATES[found.state], found.end_date)
    return ends
