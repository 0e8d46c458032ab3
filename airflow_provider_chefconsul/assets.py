"""Assets for what happens in an environment, each with the watcher that sends its events; and their addresses.

``consul://CONNECTION/ENVIRONMENT`` or ``consul://CONNECTION/ENVIRONMENT/TIER[,TIER…]``, then ``?event=converged`` or
``?event=changed``, and for the former ``&state=STATE`` where only that state counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, parse_qsl, urlencode, urlunsplit

from airflow.sdk import Asset, AssetWatcher

from airflow_provider_chefconsul.domain.model.name import check_name, check_tiers
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.triggers.event import DesiredStateChangedTrigger, TierConvergedTrigger
from airflow_provider_chefconsul.triggers.watcher import WatcherTrigger

_FORM = "consul://CONNECTION/ENVIRONMENT[/TIER[,TIER…]][?event=converged[&state=STATE]] or …?event=changed"
_CONNECTION = re.compile(r"[A-Za-z0-9_.-]+")


def tier_converged(
    environment: str,
    tier: str | Sequence[str] | None = None,
    *,
    state: str | None = None,
    policy: ConvergencePolicy | None = None,
    members: str | Sequence[str] = "service",
    consul_conn_id: str = ConsulHook.default_conn_name,
) -> Asset:
    """
    An asset that changes when a tier, several, or all of an environment have converged; see TierConvergedTrigger.

    Dags that use the same asset must give the same policy and members: an asset has one watcher.

    :param environment: the tiers' environment.
    :param tier: one tier, or several; None is all that the environment has.
    :param state: count only convergence in this state; None is in any.
    :param policy: when a tier counts as converged; see :class:`ConvergencePolicy`.
    :param members: who belongs to the tiers; see :class:`ConvergedSensor`.
    :param consul_conn_id: id of a connection of type ``consul``.
    """
    trigger = TierConvergedTrigger(
        environment=environment,
        tier=tier,
        state=state,
        policy=policy,
        members=members,
        consul_conn_id=consul_conn_id,
    )
    return _make_asset(trigger, {"event": "converged"} | ({"state": state} if state else {}))


def desired_state_changed(
    environment: str,
    tier: str | Sequence[str] | None = None,
    *,
    consul_conn_id: str = ConsulHook.default_conn_name,
) -> Asset:
    """
    An asset that changes with each generation of a tier, several, or all; see DesiredStateChangedTrigger.

    :param environment: the tiers' environment.
    :param tier: one tier, or several; None is all that the environment has.
    :param consul_conn_id: id of a connection of type ``consul``.
    """
    trigger = DesiredStateChangedTrigger(environment=environment, tier=tier, consul_conn_id=consul_conn_id)
    return _make_asset(trigger, {"event": "changed"})


def normalize_uri(parts: SplitResult) -> SplitResult:
    """
    The canonical form of an asset's address; Airflow calls this for each asset of scheme ``consul``.

    :raises InvalidInput: says what is wrong with the address, and which form it must have.
    """
    address = urlunsplit(parts)
    try:
        return _normalize(parts)
    except InvalidInput as error:
        raise InvalidInput(f"asset {address!r}: {error}; the form is {_FORM}") from error


def _normalize(parts: SplitResult) -> SplitResult:
    if not _CONNECTION.fullmatch(parts.netloc):
        raise InvalidInput(f"{parts.netloc!r} is not a connection id; put host and token into the connection")
    environment, *rest = parts.path.removeprefix("/").split("/")
    check_name("environment", environment)
    if len(rest) > 1:
        raise InvalidInput(f"{'/'.join(rest)!r} is more than one tier; separate tiers by commas")
    path = [environment, *(",".join(sorted(set(check_tiers(environment, tiers.split(","))))) for tiers in rest)]
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(query.keys() - {"event", "state"}):
        raise InvalidInput(f"unknown parameter {', '.join(unknown)}; expected event or state")
    if query.get("event", "converged") not in {"converged", "changed"}:
        raise InvalidInput(f"unknown event {query['event']!r}; expected converged or changed")
    if "state" in query:
        check_name("state", query["state"])
        if query.get("event") != "converged":
            raise InvalidInput("state requires event=converged")
    return parts._replace(path="/" + "/".join(path), query=urlencode(sorted(query.items())))


def _make_asset(trigger: WatcherTrigger, query: dict[str, str]) -> Asset:
    tiers = "" if trigger.tiers is None else "/" + ",".join(trigger.tiers)
    uri = f"consul://{trigger.consul_conn_id}/{trigger.environment}{tiers}?{urlencode(query)}"
    return Asset(uri=uri, watchers=[AssetWatcher(name=trigger.kind, trigger=trigger)])
