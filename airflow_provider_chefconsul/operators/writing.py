"""What the operators that write have in common: who writes, for which logical time, and how a refusal ends the task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.parameter import is_literal
from airflow_provider_chefconsul.domain.write.sequence import parse_sequence
from airflow_provider_chefconsul.exceptions import InvalidInput, LeaseLost, RolloutAborted, StaleWrite, TierFrozen
from airflow_provider_chefconsul.operators.hold import Hold

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from airflow_provider_chefconsul.consul.plan import Plan
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.domain.write.change import Change

ON_STALE = ("fail", "skip")
_OF_THE_DAG_RUN = (None, "", "None")  # a sequence that is not given, also as a template says so


def sequence_of(context: Context, given: Any) -> int:
    """The logical time of a write, in seconds since the epoch.

    :param given: a number of seconds or ISO 8601 text; None is the Dag run's logical date, its partition's date, or
        when it was due, whichever it has first.
    :raises InvalidInput: it is none of these.
    """
    if given in _OF_THE_DAG_RUN:
        dag_run = context["dag_run"]
        date = dag_run.logical_date or getattr(dag_run, "partition_date", None) or dag_run.run_after
        return int(date.timestamp())
    return parse_sequence(given)


def check_sequence(sequence: Any) -> None:
    """Check a sequence that is written out; see :func:`sequence_of` for its forms.

    :raises InvalidInput: it is no logical time.
    """
    if sequence not in _OF_THE_DAG_RUN and is_literal(sequence):
        parse_sequence(sequence)


def check_on_stale(on_stale: object) -> str:
    """Return ``on_stale`` when it is one of :data:`ON_STALE`.

    :raises InvalidInput: it is not.
    """
    if on_stale in ON_STALE:
        return str(on_stale)
    raise InvalidInput(f'on_stale must be "fail" or "skip", not {on_stale!r}')


async def declare(
    view: SharedView,
    environment: str,
    tiers: Sequence[str],
    change: Change,
    *,
    members: str | Sequence[str],
    needs_members: bool,
    allow_empty: bool,
    on_stale: str,
    find_hold: Callable[[], Hold | None],
    hold_frozen: Callable[[TierFrozen], Hold],
    log: Logger,
    log_prefix: str = "",
) -> Plan | Hold:
    """Write a change of tiers that have members, and log it as :func:`settle_write` does, unless it is held.

    :param members: who belongs to the tiers, as Dag authors write it.
    :param needs_members: whether what follows, or a canary, needs members; then ``allow_empty`` has no effect.
    :param allow_empty: also write tiers that have no members yet.
    :param find_hold: what holds writes up now; a change that writes nothing, or is refused, waits for nothing.
    :param hold_frozen: what a write waits for that was refused because of a freeze; may raise that error instead.
    """
    from airflow_provider_chefconsul.consul.overview import require_members
    from airflow_provider_chefconsul.consul.write import plan, write

    changes = dict.fromkeys(tiers, change)
    selectors = {tier: parse_members(members, tier) for tier in tiers}
    await require_members(
        view,
        environment,
        selectors,
        allow_empty=allow_empty and not needs_members,
        way_out="" if needs_members else "allow_empty=True declares it before it has any nodes",
    )
    hold = find_hold()
    if hold is not None and (planned := await plan(view, environment, changes, selectors)).moves:
        return replace(hold, rollouts=_find_rollouts(planned))
    while True:
        try:
            return await settle_write(
                write(view, environment, changes, selectors),
                log,
                environment=environment,
                on_stale=on_stale,
                log_prefix=log_prefix,
            )
        except TierFrozen:
            # Planned again: whoever has ended the rollout since then would not end the wait.
            planned = await plan(view, environment, changes, selectors)
            if isinstance(planned.refusal, TierFrozen):
                return replace(hold_frozen(planned.refusal), rollouts=_find_rollouts(planned))


def _find_rollouts(planned: Plan) -> dict[str, int]:
    """By tier, the generation of the canary that a change would widen or promote."""
    from airflow_provider_chefconsul.domain.model.journal import JournalAct
    from airflow_provider_chefconsul.domain.write.decision import Write

    continued = {JournalAct.WIDENED, JournalAct.PROMOTED}
    return {
        tier: each.decision.generation
        for tier, each in planned.tiers.items()
        if isinstance(each.decision, Write) and each.decision.act in continued
    }


async def check_not_overwriting(
    view: SharedView, environment: str, tiers: Sequence[str], change: Change, *, log: Logger, on_stale: str
) -> None:
    """End a later try as :func:`raise_final` does, if another Dag run has written since an earlier one."""
    from airflow_provider_chefconsul.domain.write.act import find_overwritten

    current = await view.desired(environment, tiers)
    for tier in tiers:
        refused = find_overwritten(current[tier], await view.history(environment, tier), change)
        if refused is not None:
            error = StaleWrite(f"{environment}/{tier}: {refused.reason}")
            raise_final(log, error, on_stale, environment=environment)


async def settle_write(
    writing: Awaitable[Plan],
    log: Logger,
    *,
    environment: str,
    on_stale: str,
    done: str = "",
    log_prefix: str = "",
) -> Plan:
    """Await a write, log for each tier what was written, or end the task as :func:`raise_final` does.

    :param done: what a write was, where it was more than a change, such as "rolled back".
    :param log_prefix: what the log's lines begin with, in a task that does more than write.
    :returns: what was done.
    """
    from airflow_provider_chefconsul.domain.write.decision import describe_decision

    try:
        plan = await writing
    except (StaleWrite, LeaseLost, RolloutAborted) as error:
        raise_final(log, error, on_stale, environment=environment)
    for tier, decision in plan.decisions.items():
        log.info("%s%s/%s: %s", log_prefix, environment, tier, describe_decision(decision, done=done))
    return plan


def raise_final(
    log: Logger, error: StaleWrite | LeaseLost | RolloutAborted, on_stale: str, *, environment: str
) -> NoReturn:
    """End the task of a write that is stale, aborted, or whose lease is lost: a retry would find the same.

    A lost lease always fails the task: nothing says that somebody else has done what the Dag run was about to do.
    """
    if isinstance(error, StaleWrite):
        from airflow_provider_chefconsul.triggers.metrics import count_stale_write

        count_stale_write(environment)
    if on_stale == "skip" and isinstance(error, StaleWrite):
        log.warning("Skipped, nothing was written: %s", error)  # Airflow itself hides why a task was skipped
        raise AirflowSkipException(str(error)) from error
    raise AirflowFailException(str(error)) from error
