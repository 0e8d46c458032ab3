"""Moving tiers to states: one transition, or several in order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import TaskGroup, chain

from airflow_provider_chefconsul.domain.model.desired import Scalar
from airflow_provider_chefconsul.domain.parameter import check_known, is_reference
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.state_model import StateModel
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.task_groups.given import NOT_GIVEN, NotGiven, given
from airflow_provider_chefconsul.task_groups.nodes import Nodes


def transition(
    environment: str,
    tier: str | Sequence[str],
    state: str,
    values: Mapping[str, Scalar] | NotGiven | None = NOT_GIVEN,
    *,
    group_id: str | None = None,
    canary: int | str | Sequence[str] | NotGiven | None = NOT_GIVEN,
    spread: str | NotGiven | None = NOT_GIVEN,
    model: StateModel | None = None,
    allowed_from: Sequence[str | None] | NotGiven | None = NOT_GIVEN,
    sequence: int | str | NotGiven | None = NOT_GIVEN,
    on_stale: str | NotGiven = NOT_GIVEN,
    policy: ConvergencePolicy | NotGiven | None = NOT_GIVEN,
    members: str | Sequence[str] | NotGiven = NOT_GIVEN,
    command: str | NotGiven | None = NOT_GIVEN,
    max_parallel: int | NotGiven | None = NOT_GIVEN,
    prefix_per_node: str | NotGiven | None = NOT_GIVEN,
    force: bool | NotGiven = NOT_GIVEN,
    consul_conn_id: str | NotGiven = NOT_GIVEN,
    deferrable: bool | NotGiven = NOT_GIVEN,
    **group_kwargs: Any,
) -> TaskGroup:
    """Move a tier to a state: a TaskGroup of the tasks ``set``, ``nudge`` and ``wait``, in this order.

    Parameters mean what they mean in ``SetDesiredStateOperator``, ``ConsulExecChefOperator`` and ``ConvergedSensor``.
    Those that are not given are left to ``default_args`` and the operators; those that are templated there may also
    come from a mapping or an XCom.

    The policy's timeout bounds the nudge, and then the wait anew.

    :param group_id: ``<tier>_<state>`` when not given, with '_' for characters that Airflow does not take. Give it
        where the tier or the state comes from a mapping or an XCom.
    :param model: which state may follow which. It is checked when the Dag is parsed, and against the tier's state when
        the task writes.
    :param command: what to run on the nodes; None leaves the nudge out, for nodes that watch the key.
    :param group_kwargs: further parameters of the TaskGroup.
    :returns: the group.
    :raises InvalidInput: the model does not have the state, or a transition that ``allowed_from`` names; or a parameter
        that is read when the Dag is parsed comes from a mapping or an XCom.
    """
    check_known(
        group_id=group_id, spread=spread, model=model, on_stale=on_stale, policy=policy, max_parallel=max_parallel,
        prefix_per_node=prefix_per_node, force=force, deferrable=deferrable,
    )  # fmt: skip
    if model is not None:
        check_known(state=state, allowed_from=allowed_from)
        allowed_from = _check_model(model, state, None if allowed_from is NOT_GIVEN else allowed_from)
    shared = given(members=members, consul_conn_id=consul_conn_id, deferrable=deferrable)
    shared |= {"environment": environment, "tier": tier}
    with TaskGroup(group_name(group_id, tier, state), **group_kwargs) as group:
        declare = SetDesiredStateOperator(
            task_id="set",
            state=state,
            **given(
                values=values,
                canary=canary,
                spread=spread,
                allowed_from=allowed_from,
                sequence=sequence,
                on_stale=on_stale,
                force=force,
            ),
            **shared,
        )
        Nodes(shared, policy, command, max_parallel, prefix_per_node).converge(declare)
    return group


def transitions(
    environment: str,
    steps: Sequence[tuple[str | Sequence[str], str]],
    values: Mapping[str, Scalar] | NotGiven | None = NOT_GIVEN,
    *,
    model: StateModel | None = None,
    **kwargs: Any,
) -> list[TaskGroup]:
    """Move tiers through states, one step after the other: a chain of :func:`transition`.

    :param steps: pairs of a tier (or several) and its next state.
    :param model: which state may follow which in each tier. A step that it does not allow after the tier's previous
        step is an error when the Dag is parsed; a tier's first step is checked against its state when the task writes.
    :param kwargs: further parameters of each transition.
    :returns: the groups, chained; put a lease around them with ``chain(acquire, *groups, release)``.
    :raises InvalidInput: the model does not allow a transition; or a step comes from a mapping or an XCom, for which
        there is :func:`transition`.
    """
    check_known(steps=steps, model=model)
    states: dict[str, str] = {}
    groups: list[TaskGroup] = []
    names: list[str] = []
    for tier, state in map(_check_pair, steps):
        tiers = [tier] if isinstance(tier, str) else list(tier)
        for each in tiers:
            if model is not None:
                _check_transition(model, each, states.get(each), state)
            states[each] = state
        name = group_name(None, tier, state)
        names.append(name)
        count = names.count(name)
        group_id = name if count == 1 else f"{name}_{count}"
        groups.append(transition(environment, tier, state, values, group_id=group_id, model=model, **kwargs))
    chain(*groups)
    return groups


def _check_pair(pair: tuple[str | Sequence[str], str]) -> tuple[str | Sequence[str], str]:
    match pair:
        case (str() | [*_], str()):
            return pair
    raise InvalidInput(f"a step must be a pair of a tier (or several) and a state, not {pair!r}")


def _check_model(model: StateModel, state: str, allowed_from: Sequence[str | None] | None) -> Sequence[str | None]:
    if allowed_from is None:
        return model.allowed_from(state)
    for before in allowed_from:
        model.check(before, state)
    return allowed_from


def _check_transition(model: StateModel, tier: str, before: str | None, state: str) -> None:
    try:
        model.check(before, state)
    except InvalidInput as error:
        raise InvalidInput(f"tier {tier}: {error}") from error


def group_name(group_id: str | None, tier: str | Sequence[str], state: str) -> str:
    """The id that is given, or one made of tier and state, with '_' for characters that Airflow does not take.

    :raises InvalidInput: none is given, and tier or state is known only when the task runs.
    """
    if group_id is not None:
        return group_id
    for name, value in {"tier": tier, "state": state}.items():
        if is_reference(value):
            raise InvalidInput(f"{name} comes from a mapping or an XCom, so the group needs a name: give group_id")
    tiers = [tier] if isinstance(tier, str) else list(tier)
    return re.sub(r"\W+", "_", "_".join([*tiers, state]))
