"""The domain: what is desired, what is reported, who must report, and when a tier has converged. Pure functions."""

from airflow_provider_chefconsul.rollout.policy import ConvergencePolicy
from airflow_provider_chefconsul.rollout.state_model import StateModel

__all__ = ["ConvergencePolicy", "StateModel"]
