"""State transitions as TaskGroups: one, several in order, or one that goes a little at a time."""

from airflow_provider_chefconsul.task_groups.rollout import rollout
from airflow_provider_chefconsul.task_groups.transition import transition, transitions

__all__ = ["rollout", "transition", "transitions"]
