"""Asking Airflow how Dag runs ended, where Airflow runs the command."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd
from airflow_provider_chefconsul.hooks.dag_runs import find_run_ends

log = logging.getLogger(__name__)


def ask_for_run_ends(runs: Collection[DagRun]) -> Mapping[DagRun, RunEnd]:
    """How those ended that did; nothing, with a warning, when Airflow's database does not answer."""
    try:
        return find_run_ends(runs)
    except SQLAlchemyError as error:
        log.warning("whether the Dag runs go on that left a canary out is not known: %s", str(error).partition("\n")[0])
        return {}
