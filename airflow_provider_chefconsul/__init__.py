"""Take environments from one desired state to the next: Airflow declares it in Consul, Chef nodes converge and report.

Everything that a Dag author uses can be imported from here. A name is loaded when it is first asked for, so importing
the package itself costs nothing. What this package does not list is internal and may change without notice.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from airflow_provider_chefconsul.assets import desired_state_changed as desired_state_changed
    from airflow_provider_chefconsul.assets import tier_converged as tier_converged
    from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy as ConvergencePolicy
    from airflow_provider_chefconsul.domain.write.state_model import StateModel as StateModel
    from airflow_provider_chefconsul.domain.write.window import ChangeWindow as ChangeWindow
    from airflow_provider_chefconsul.exceptions import ChefConsulError as ChefConsulError
    from airflow_provider_chefconsul.hooks.consul import ConsulHook as ConsulHook
    from airflow_provider_chefconsul.notifications.rollout import RolloutNotifier as RolloutNotifier
    from airflow_provider_chefconsul.operators.approval import ApproveWaveOperator as ApproveWaveOperator
    from airflow_provider_chefconsul.operators.audit import DriftAuditOperator as DriftAuditOperator
    from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator as ConsulExecChefOperator
    from airflow_provider_chefconsul.operators.chef import SSHChefOperator as SSHChefOperator
    from airflow_provider_chefconsul.operators.converged_values import (
        ReadConvergedValuesOperator as ReadConvergedValuesOperator,
    )
    from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator as SetDesiredStateOperator
    from airflow_provider_chefconsul.operators.freeze import FreezeOperator as FreezeOperator
    from airflow_provider_chefconsul.operators.freeze import UnfreezeOperator as UnfreezeOperator
    from airflow_provider_chefconsul.operators.lease import AcquireLeaseOperator as AcquireLeaseOperator
    from airflow_provider_chefconsul.operators.lease import BreakLeaseOperator as BreakLeaseOperator
    from airflow_provider_chefconsul.operators.lease import ReleaseLeaseOperator as ReleaseLeaseOperator
    from airflow_provider_chefconsul.operators.metric_gate import MetricGateOperator as MetricGateOperator
    from airflow_provider_chefconsul.operators.rollback import RollBackOperator as RollBackOperator
    from airflow_provider_chefconsul.operators.rollout_end import CheckRolloutEndOperator as CheckRolloutEndOperator
    from airflow_provider_chefconsul.operators.steering import AbortOperator as AbortOperator
    from airflow_provider_chefconsul.operators.steering import PromoteOperator as PromoteOperator
    from airflow_provider_chefconsul.operators.transition import TransitionOperator as TransitionOperator
    from airflow_provider_chefconsul.operators.transitions import TransitionsOperator as TransitionsOperator
    from airflow_provider_chefconsul.sensors.converged import ConvergedSensor as ConvergedSensor
    from airflow_provider_chefconsul.task_groups.gate import NextWave as NextWave
    from airflow_provider_chefconsul.task_groups.state_transition import transition as transition
    from airflow_provider_chefconsul.task_groups.state_transition import transitions as transitions
    from airflow_provider_chefconsul.task_groups.wave_rollout import rollout as rollout

_MODULES = {
    "AbortOperator": "operators.steering",
    "AcquireLeaseOperator": "operators.lease",
    "ApproveWaveOperator": "operators.approval",
    "BreakLeaseOperator": "operators.lease",
    "ChangeWindow": "domain.write.window",
    "CheckRolloutEndOperator": "operators.rollout_end",
    "ChefConsulError": "exceptions",
    "ConsulExecChefOperator": "operators.chef",
    "ConsulHook": "hooks.consul",
    "ConvergedSensor": "sensors.converged",
    "ConvergencePolicy": "domain.verdict.policy",
    "DriftAuditOperator": "operators.audit",
    "FreezeOperator": "operators.freeze",
    "MetricGateOperator": "operators.metric_gate",
    "NextWave": "task_groups.gate",
    "PromoteOperator": "operators.steering",
    "ReadConvergedValuesOperator": "operators.converged_values",
    "ReleaseLeaseOperator": "operators.lease",
    "RollBackOperator": "operators.rollback",
    "RolloutNotifier": "notifications.rollout",
    "SSHChefOperator": "operators.chef",
    "SetDesiredStateOperator": "operators.desired_state",
    "StateModel": "domain.write.state_model",
    "TransitionOperator": "operators.transition",
    "TransitionsOperator": "operators.transitions",
    "UnfreezeOperator": "operators.freeze",
    "desired_state_changed": "assets",
    "rollout": "task_groups.wave_rollout",
    "tier_converged": "assets",
    "transition": "task_groups.state_transition",
    "transitions": "task_groups.state_transition",
}
"""Each public name, and the module that defines it."""

__all__ = list(_MODULES)

if not TYPE_CHECKING:  # or a type checker would accept any name

    def __getattr__(name):
        """Load a public name; later look-ups find it in the module itself."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *_MODULES})
