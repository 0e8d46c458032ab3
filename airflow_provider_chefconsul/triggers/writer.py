"""The task that writes or waits, as documents in Consul name it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.writer import Writer

if TYPE_CHECKING:
    from airflow.sdk import Context


def writer_of(context: Context) -> Writer:
    """The task instance as a writer."""
    instance = context["ti"]
    map_index = -1 if instance.map_index is None else instance.map_index
    return Writer(instance.dag_id, instance.run_id, instance.task_id, map_index)


def holder_of(context: Context) -> dict[str, str]:
    """The task's Dag run, as triggers are given it: whose lease, if it has one, they renew."""
    return asdict(DagRun.of(writer_of(context)))
