"""TaskGroups for state transitions: one, several in order, or a rollout in waves. The exported ones are public."""

from airflow_provider_chefconsul.task_groups.state_transition import transition, transitions
from airflow_provider_chefconsul.task_groups.wave_rollout import rollout

__all__ = ["rollout", "transition", "transitions"]
