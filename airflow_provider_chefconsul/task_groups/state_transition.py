"""Moving tiers to states: one transition, or several in order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup, XComArg, chain

from airflow_provider_chefconsul.domain.model.values import Scalar
from airflow_provider_chefconsul.domain.parameter import check_known, check_switch, is_reference
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.state_model import StateModel
from airflow_provider_chefconsul.domain.write.transition import Transition, parse_transitions
from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.transition import TransitionOperator
from airflow_provider_chefconsul.operators.transitions import TransitionsOperator
from airflow_provider_chefconsul.task_groups.given import NOT_GIVEN, NotGiven, given
from airflow_provider_chefconsul.task_groups.nodes import Nodes


def transition(
    environment: str,
    tier: str | Sequence[str],
    state: str,
    values: Mapping[str, Scalar] | XComArg | NotGiven | None = NOT_GIVEN,
    *,
    task_id: str | None = None,
    separate: bool = False,
    canary: int | str | Sequence[str] | NotGiven | None = NOT_GIVEN,
    spread: str | NotGiven | None = NOT_GIVEN,
    slots: int | str | NotGiven | None = NOT_GIVEN,
    per: str | NotGiven | None = NOT_GIVEN,
    spread_over: timedelta | NotGiven | None = NOT_GIVEN,
    model: StateModel | None = None,
    allowed_from: Sequence[str | None] | NotGiven | None = NOT_GIVEN,
    sequence: int | str | NotGiven | None = NOT_GIVEN,
    on_stale: str | NotGiven = NOT_GIVEN,
    on_frozen: str | NotGiven = NOT_GIVEN,
    wave: tuple[int, int] | NotGiven | None = NOT_GIVEN,
    window: ChangeWindow | NotGiven | None = NOT_GIVEN,
    policy: ConvergencePolicy | NotGiven | None = NOT_GIVEN,
    members: str | Sequence[str] | NotGiven = NOT_GIVEN,
    command: str | NotGiven | None = NOT_GIVEN,
    nudge_after: timedelta | NotGiven = NOT_GIVEN,
    max_parallel: int | NotGiven | None = NOT_GIVEN,
    prefix_per_node: str | NotGiven | None = NOT_GIVEN,
    force: bool | NotGiven = NOT_GIVEN,
    consul_conn_id: str | NotGiven = NOT_GIVEN,
    deferrable: bool | NotGiven = NOT_GIVEN,
    **kwargs: Any,
) -> TransitionOperator | TaskGroup:
    """Move a tier to a state: a ``TransitionOperator``, or a TaskGroup of ``set``, ``nudge`` and ``wait``.

    Parameters mean what they mean in ``TransitionOperator``. Those that are not given are left to ``default_args`` and
    the operator; those that are templated there may also come from a mapping or an XCom.

    :param task_id: of the task, or of the group; ``<tier>_<state>`` when not given, with '_' for characters that
        Airflow does not take. Give it where the tier or the state comes from a mapping or an XCom.
    :param separate: build a group of a ``SetDesiredStateOperator``, a ``ConsulExecChefOperator`` and a
        ``ConvergedSensor``, to put something between them or to see each as a row. All nodes that have not converged
        are nudged then, at once; the policy's timeout bounds the nudge, and then the wait anew.
    :param model: which state may follow which. It is checked when the Dag is parsed, and against the tier's state when
        the task writes.
    :param command: what to run on the nodes; None nudges nobody, for nodes that watch the key.
    :param kwargs: further parameters of the task, or of the TaskGroup.
    :returns: the task, or the group.
    :raises InvalidInput: the model does not have the state, or a transition that ``allowed_from`` names; or a parameter
        that is read when the Dag is parsed comes from a mapping or an XCom.
    """
    check_known(
        task_id=task_id, separate=separate, spread=spread, model=model, on_stale=on_stale, on_frozen=on_frozen,
        wave=wave, window=window, policy=policy, nudge_after=nudge_after, max_parallel=max_parallel,
        prefix_per_node=prefix_per_node, force=force, deferrable=deferrable, per=per, spread_over=spread_over,
    )  # fmt: skip
    check_switch("separate", separate)
    if model is not None:
        check_known(state=state, allowed_from=allowed_from)
        allowed_from = _check_model(model, state, None if allowed_from is NOT_GIVEN else allowed_from)
    name = default_id("task_id", task_id, tier, state)
    shared = given(members=members, consul_conn_id=consul_conn_id, deferrable=deferrable)
    shared |= {"environment": environment, "tier": tier}
    content = given(
        values=values,
        canary=canary,
        spread=spread,
        slots=slots,
        per=per,
        spread_over=spread_over,
        allowed_from=allowed_from,
        sequence=sequence,
        on_stale=on_stale,
        on_frozen=on_frozen,
        wave=wave,
        window=window,
        force=force,
    )
    content |= {"state": state}
    if not separate:
        nudge = given(
            command=command, nudge_after=nudge_after, max_parallel=max_parallel, prefix_per_node=prefix_per_node
        )
        return TransitionOperator(task_id=name, **content, **given(policy=policy), **nudge, **shared, **kwargs)
    if nudge_after is not NOT_GIVEN:
        raise InvalidInput("nudge_after has no meaning with separate=True: the task nudge follows the task set at once")
    with TaskGroup(name, **kwargs) as group:
        declare = SetDesiredStateOperator(task_id="set", **content, **shared)
        Nodes(shared, policy, command, max_parallel, prefix_per_node).converge(declare)
    return group


def transitions(
    environment: str,
    steps: Sequence[tuple[str | Sequence[str], str]],
    values: Mapping[str, Scalar] | XComArg | NotGiven | None = NOT_GIVEN,
    *,
    model: StateModel | None = None,
    one_task: bool = False,
    **kwargs: Any,
) -> list[BaseOperator | TaskGroup]:
    """Move tiers through states, one step after the other: a chain of :func:`transition`.

    :param steps: pairs of a tier (or several) and its next state.
    :param model: which state may follow which in each tier. A step that it does not allow after the tier's previous
        step is an error when the Dag is parsed; a tier's first step is checked against its state when the task writes.
    :param one_task: build a single ``TransitionsOperator`` for all steps, for speed; its ``task_id`` is ``transitions``
        when not given.
    :param kwargs: further parameters of each transition.
    :returns: the tasks or groups, chained; put a lease around them with ``chain(acquire, *steps, release)``.
    :raises InvalidInput: the model does not allow a transition; or a step comes from a mapping or an XCom, for which
        there is :func:`transition`.
    """
    check_known(steps=steps, model=model, one_task=one_task)
    check_switch("one_task", one_task)
    parsed = parse_transitions(steps)
    if model is not None:
        _check_model_of_all(model, parsed)
    if one_task:
        options = {"task_id": "transitions", **given(values=values), **kwargs}
        return [TransitionsOperator(environment=environment, steps=steps, model=model, **options)]
    built: list[BaseOperator | TaskGroup] = []
    names: list[str] = []
    for tier, state in steps:
        name = default_id("task_id", None, tier, state)
        names.append(name)
        count = names.count(name)
        task_id = name if count == 1 else f"{name}_{count}"
        built.append(transition(environment, tier, state, values, task_id=task_id, model=model, **kwargs))
    chain(*built)
    return built


def _check_model_of_all(model: StateModel, transitions: Sequence[Transition]) -> None:
    """Check each transition against the one before it in the same tier."""
    states: dict[str, str] = {}
    for each in transitions:
        for tier in each.tiers:
            try:
                model.check(states.get(tier), each.state)
            except InvalidInput as error:
                raise InvalidInput(f"tier {tier}: {error}") from error
            states[tier] = each.state


def _check_model(model: StateModel, state: str, allowed_from: Sequence[str | None] | None) -> Sequence[str | None]:
    if allowed_from is None:
        return model.allowed_from(state)
    for before in allowed_from:
        model.check(before, state)
    return allowed_from


def default_id(parameter: str, given_id: str | None, tier: str | Sequence[str], state: str) -> str:
    """The id that is given, or one made of tier and state, with '_' for characters that Airflow does not take.

    :param parameter: what the id is called, for the error.
    :raises InvalidInput: none is given, and tier or state is known only when the task runs.
    """
    if given_id is not None:
        return given_id
    for name, value in {"tier": tier, "state": state}.items():
        if is_reference(value):
            raise InvalidInput(f"{name} comes from a mapping or an XCom, so it cannot make a name: give {parameter}")
    tiers = [tier] if isinstance(tier, str) else list(tier)
    return re.sub(r"\W+", "_", "_".join([*tiers, state]))
