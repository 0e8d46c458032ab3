"""State transitions as TaskGroups: one, several in order, or one that goes a little at a time."""

from airflow_provider_chefconsul.task_groups.state_transition import transition, transitions
from airflow_provider_chefconsul.task_groups.wave_rollout import rollout

__all__ = ["rollout", "transition", "transitions"]
