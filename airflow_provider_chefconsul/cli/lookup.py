"""Finding the tiers that a command names, with errors that say which exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.overview import list_environments, list_tiers, require_members
from airflow_provider_chefconsul.domain.model.membership import Members, Selector
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.exceptions import NoMembers, NotDeclared

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView

_NAMED = 20


async def find_tiers(view: SharedView, environment: str, tier: str | None, *, program: str) -> list[str]:
    """The tiers of an environment, or the one that is named.

    :param program: what to call this program in an error.
    :raises NotDeclared: the environment or the tier has no key; says how to declare it, and which exist.
    :raises AccessDenied: the token may not read the environment, which would pass for an empty one.
    """
    check_name("environment", environment)
    if tier is not None:
        check_name("tier", tier)
    tiers = await list_tiers(view, environment)
    if not tiers:
        await view.client.get(view.keys.lease(environment))  # is denied where a listing is only empty
        there_are = name_some(await list_environments(view))
        raise NotDeclared(
            f"nothing is declared in {environment} yet: {program} set {environment} {tier or 'TIER'} --state …; "
            f"environments at {view.client.settings.url}, below {view.keys.root}/: {there_are}"
        )
    if tier is not None and tier not in tiers:
        raise NotDeclared(
            f"environment {environment} has no tier {tier}: {program} set {environment} {tier} --state …; "
            f"there are: {name_some(tiers)}"
        )
    return tiers if tier is None else [tier]


async def find_empty_tier(view: SharedView, environment: str, selectors: Mapping[str, Selector]) -> NoMembers | None:
    """The error for a tier without members, which may be a mistyped name; None when all have members.

    :raises InvalidInput: Consul does not list a named member, and it has never reported.
    """
    way_out = "--without-members declares it before it has any nodes"
    try:
        await require_members(view, environment, selectors, way_out=way_out)
    except NoMembers as error:
        return error
    return None


def describe_nodes(nodes: Sequence[str], members: Members, *, will: str) -> str:
    """How many members get a new assignment by a write, and which.

    :param nodes: these members.
    :param will: "would get" or "get".
    """
    if not nodes:
        return f"none of {len(members)} members {will} a new assignment, so nodes do nothing"
    absent = absent_of(nodes, members)
    of_these = f", {len(absent)} of these absent, which no wait requires" if absent else ""
    return f"{len(nodes)} of {len(members)} members {will} a new assignment{of_these}: {name_some(nodes)}"


def absent_of(nodes: Iterable[str], members: Members) -> list[str]:
    """The nodes whose agents are not alive."""
    return [node for node in nodes if node in members and not members[node].is_present]


def name_some(names: Iterable[str]) -> str:
    """The first of the names."""
    return list_some(names, _NAMED) or "none"
