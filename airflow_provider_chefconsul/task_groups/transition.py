"""Moving tiers to states: one transition, or several in order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import TaskGroup, chain, conf

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.rollout.desired import Scalar
from airflow_provider_chefconsul.rollout.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.rollout.state_model import StateModel
from airflow_provider_chefconsul.task_groups.nodes import Nodes


def transition(
    environment: str,
    tier: str | Sequence[str],
    state: str,
    values: Mapping[str, Scalar] | None = None,
    *,
    group_id: str | None = None,
    canary: int | str | Sequence[str] | None = None,
    spread: str | None = None,
    model: StateModel | None = None,
    allowed_from: Sequence[str | None] | None = None,
    sequence: int | str | None = None,
    on_stale: str = "fail",
    policy: ConvergencePolicy | None = None,
    members: str | Sequence[str] = "service",
    command: str | None = "chef-client",
    max_parallel: int | None = None,
    prefix_per_node: str | None = None,
    force: bool = False,
    consul_conn_id: str = ConsulHook.default_conn_name,
    deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
    **group_kwargs: Any,
) -> TaskGroup:
    """Move a tier to a state: a TaskGroup of the tasks ``set``, ``nudge`` and ``wait``, in this order.

    Parameters mean what they mean in ``SetDesiredStateOperator``, ``ConsulExecChefOperator`` and ``ConvergedSensor``.

    The nudge ends by the policy's timeout, too; then the wait has a timeout of its own.

    :param group_id: ``<tier>_<state>`` when not given, with '_' for characters that Airflow does not take.
    :param model: what may follow what; it is checked here, when the Dag is parsed, and by Consul's word at the write.
    :param command: what to run on the nodes; None leaves the nudge out, for nodes that watch the key.
    :param group_kwargs: further parameters of the TaskGroup.
    :raises InvalidInput: the model knows no such state, or no such transition as ``allowed_from`` names.
    """
    tiers = [tier] if isinstance(tier, str) else list(tier)
    where: dict[str, Any] = {"environment": environment, "tier": tier, "members": members}
    how: dict[str, Any] = {"consul_conn_id": consul_conn_id, "deferrable": deferrable}
    policy = ConvergencePolicy() if policy is None else check_policy("policy", policy)
    if model is not None:
        allowed_from = _check_model(model, state, allowed_from)
    with TaskGroup(group_id or group_name([*tiers, state]), **group_kwargs) as group:
        declare = SetDesiredStateOperator(
            task_id="set",
            state=state,
            values=values,
            canary=canary,
            spread=spread,
            allowed_from=allowed_from,
            sequence=sequence,
            on_stale=on_stale,
            force=force,
            **where,
            **how,
        )
        Nodes(where, how, policy, command, max_parallel, prefix_per_node).converge(declare)
    return group


def transitions(
    environment: str,
    steps: Sequence[tuple[str | Sequence[str], str]],
    values: Mapping[str, Scalar] | None = None,
    *,
    model: StateModel | None = None,
    **kwargs: Any,
) -> list[TaskGroup]:
    """Move tiers through states, one step after the other: a chain of :func:`transition`.

    :param steps: pairs of a tier (or several) and its next state.
    :param model: what may follow what in each tier. A step that it does not allow after the tier's step before is an
        error when the Dag is parsed; the first step of a tier is checked by Consul's word at the write.
    :param kwargs: further parameters of each transition.
    :returns: the groups, chained; put a lease around them with ``chain(acquire, *groups, release)``.
    :raises InvalidInput: names the transition that the model does not allow.
    """
    standing: dict[str, str] = {}
    groups: list[TaskGroup] = []
    names: list[str] = []
    for tier, state in map(_check_pair, steps):
        tiers = [tier] if isinstance(tier, str) else list(tier)
        for each in tiers:
            if model is not None:
                _check_step(model, each, standing.get(each), state)
            standing[each] = state
        name = group_name([*tiers, state])
        names.append(name)
        again = names.count(name)
        group_id = name if again == 1 else f"{name}_{again}"
        groups.append(transition(environment, tier, state, values, group_id=group_id, model=model, **kwargs))
    chain(*groups)
    return groups


def _check_pair(step: tuple[str | Sequence[str], str]) -> tuple[str | Sequence[str], str]:
    match step:
        case (str() | [*_], str()):
            return step
    raise InvalidInput(f"a step must be a pair of a tier (or several) and a state, not {step!r}")


def _check_model(model: StateModel, state: str, allowed_from: Sequence[str | None] | None) -> Sequence[str | None]:
    if allowed_from is None:
        return model.allowed_from(state)
    for before in allowed_from:
        model.check(before, state)
    return allowed_from


def _check_step(model: StateModel, tier: str, before: str | None, state: str) -> None:
    try:
        model.check(before, state)
    except InvalidInput as error:
        raise InvalidInput(f"tier {tier}: {error}") from error


def group_name(parts: Sequence[str]) -> str:
    """An id of these parts, with '_' for characters that Airflow does not take."""
    return re.sub(r"\W+", "_", "_".join(parts))
