"""The task that writes or waits, as documents in Consul name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_chefconsul.domain.model.desired import Writer

if TYPE_CHECKING:
    from airflow.sdk import Context


def writer_of(context: Context) -> Writer:
    """The task instance as a writer."""
    instance = context["ti"]
    map_index = -1 if instance.map_index is None else instance.map_index
    return Writer(instance.dag_id, instance.run_id, instance.task_id, map_index)
