"""What the operators that write have in common: who writes, for which logical time, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_chefconsul.domain.model.desired import Writer
from airflow_provider_chefconsul.domain.model.membership import Selector
from airflow_provider_chefconsul.domain.write.decision import Unchanged, Write, describe_decision
from airflow_provider_chefconsul.domain.write.sequence import parse_sequence
from airflow_provider_chefconsul.exceptions import InvalidInput, LeaseLost, NoMembers, StaleWrite
from airflow_provider_chefconsul.hooks.consul import ConsulHook

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

ON_STALE = ("fail", "skip")
_TIERS_NAMED = 20


def writer_of(context: Context) -> Writer:
    """The task instance as a writer."""
    instance = context["ti"]
    map_index = -1 if instance.map_index is None else instance.map_index
    return Writer(instance.dag_id, instance.run_id, instance.task_id, map_index)


def sequence_of(context: Context, given: Any) -> int:
    """The logical time of a write, in seconds since the epoch.

    :param given: a number of seconds or ISO 8601 text; None is the Dag run's logical date, its partition's date, or
        when it was due, whichever it has first.
    :raises InvalidInput: it is none of these.
    """
    if given in (None, "", "None"):
        dag_run = context["dag_run"]
        moment = dag_run.logical_date or getattr(dag_run, "partition_date", None) or dag_run.run_after
        return int(moment.timestamp())
    return parse_sequence(given)


def check_on_stale(on_stale: object) -> str:
    """Return ``on_stale`` when it is one of the two.

    :raises InvalidInput: says which there are.
    """
    if on_stale in ON_STALE:
        return str(on_stale)
    raise InvalidInput(f'on_stale must be "fail" or "skip", not {on_stale!r}')


async def require_members(
    consul_conn_id: str,
    environment: str,
    selectors: Mapping[str, Selector],
    *,
    allow_empty: bool = False,
    way_out: str = "",
) -> None:
    """Refuse to write what nobody could converge on, above all where a name was mistyped.

    :param allow_empty: take tiers without members, and members that Consul does not list yet.
    :param way_out: how to write all the same, for the error to say.
    :raises NoMembers: names the tier that has none, and those that the environment has.
    :raises InvalidInput: a member's name is one that Consul does not list, and that has never reported; or the tier's
        service differs from its name in case only.
    """
    from airflow_provider_chefconsul.consul.overview import check_member_names, list_tiers

    async with ConsulHook(consul_conn_id).open_view() as view:
        for tier, selector in selectors.items():
            try:
                await view.require_members(f"{environment}/{tier}", selector)
                if not allow_empty:
                    await check_member_names(view, environment, tier, selector)
            except NoMembers as error:
                if allow_empty:
                    continue
                tiers = await list_tiers(view, environment)
                names = ", ".join(tiers[:_TIERS_NAMED]) + (", …" if len(tiers) > _TIERS_NAMED else "")
                hint = f"; {way_out}" if way_out else ""
                raise NoMembers(f"{error}; tiers that {environment} has: {names or 'none'}{hint}") from error


def raise_final(log: Logger, error: StaleWrite | LeaseLost, on_stale: str) -> NoReturn:
    """End the task of a write that something later has made stale, or that lost its lease; a retry would find the same.

    A lost lease is a failure always: nothing says that somebody else has done what the Dag run was about to do.
    """
    if on_stale == "skip" and isinstance(error, StaleWrite):
        log.warning("Skipped, nothing was written: %s", error)  # Airflow itself only whispers why a task was skipped
        raise AirflowSkipException(str(error)) from error
    raise AirflowFailException(str(error)) from error


def log_decisions(log: Logger, environment: str, decisions: Mapping[str, Write | Unchanged], *, done: str = "") -> None:
    """Say for each tier what was written.

    :param done: words that say what a write was, when it was more than a change.
    """
    for tier, decision in decisions.items():
        log.info("%s/%s: %s", environment, tier, describe_decision(decision, done=done))
