"""Listing the shared data view: environments, their tiers, leases and early failures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.catalog import check_names
from airflow_provider_chefconsul.consul.lease import find_lease
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, Selector
from airflow_provider_chefconsul.domain.model.name import check_name, is_name
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.exceptions import MalformedDocument, NoMembers, NotDeclared

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.entry import Entry

_TIERS_NAMED = 20


async def list_environments(view: SharedView) -> list[str]:
    """The environments that have at least one key."""
    return await _list_below(view, f"{view.keys.root}/")


async def list_tiers(view: SharedView, environment: str) -> list[str]:
    """The tiers of an environment that have at least one key of their own."""
    return await _list_below(view, view.keys.environment(environment))


async def check_declared(view: SharedView, environment: str, tiers: Collection[str]) -> None:
    """Check that an environment has these tiers, or any at all when none is named.

    :raises NotDeclared: names the first that it does not have, and those that it has.
    """
    found = await list_tiers(view, environment)
    if not found:
        raise NotDeclared(f"nothing is declared in {environment} yet; check its name and the connection's prefix")
    for tier in tiers:
        if tier not in found:
            there_are = list_some(found, _TIERS_NAMED)
            raise NotDeclared(f"environment {environment} has no tier {tier}; there are: {there_are}")


async def check_member_names(view: SharedView, environment: str, tier: str, selector: Selector) -> None:
    """Check that members that an author listed by name exist; other selectors name none.

    :raises InvalidInput: Consul does not list a name, and it has never reported in the tier.
    """
    if isinstance(selector, ListedMembers):
        reported = (await view.read(environment, tier)).evidence
        unreported = [name for name in selector.nodes if name not in reported]
        await check_names(view.client, f"members of {environment}/{tier}", unreported)


async def require_members(
    view: SharedView,
    environment: str,
    selectors: Mapping[str, Selector],
    *,
    allow_empty: bool = False,
    way_out: str = "",
) -> None:
    """Refuse to write a tier that has no members, which is often a mistyped name.

    :param selectors: by tier, its members.
    :param allow_empty: accept tiers without members, and members that Consul does not list yet.
    :param way_out: how to write anyway, for the error.
    :raises NoMembers: names the empty tier and the environment's tiers.
    :raises InvalidInput: Consul does not list a member, and it has never reported; or the tier's service differs from
        its name only in case.
    """
    for tier, selector in selectors.items():
        try:
            await view.require_members(f"{environment}/{tier}", selector)
            if not allow_empty:
                await check_member_names(view, environment, tier, selector)
        except NoMembers as error:
            if allow_empty:
                continue
            names = list_some(await list_tiers(view, environment), _TIERS_NAMED) or "none"
            hint = f"; {way_out}" if way_out else ""
            raise NoMembers(f"{error}; tiers of {environment}: {names}{hint}") from error


async def read_lease(view: SharedView, environment: str) -> Lease | Unreadable | None:
    """An environment's lease, or why it cannot be read."""
    try:
        found = await find_lease(view, environment)
    except MalformedDocument as error:
        return Unreadable.of(error)
    return found.lease if found else None


async def read_early_failures(view: SharedView, environment: str) -> dict[str, EarlyFailure]:
    """By node, its last run that failed before it read a tier; unreadable documents are left out."""
    prefix = view.keys.early_failures(environment)
    _, entries = await view.client.tree(prefix)
    found = {entry.key.removeprefix(prefix): _read_early_failure(entry) for entry in entries}
    return {node: failure for node, failure in found.items() if failure is not None}


async def read_early_failure(view: SharedView, environment: str, node: str) -> EarlyFailure | None:
    """A node's last run that failed before it read a tier; None without a readable one."""
    entry = await view.client.get(f"{view.keys.early_failures(environment)}{check_name('node', node)}")
    return _read_early_failure(entry) if entry else None


def _read_early_failure(entry: Entry) -> EarlyFailure | None:
    try:
        return EarlyFailure.from_json(entry.key, entry.value, entry.modify_index)
    except MalformedDocument:
        return None


async def _list_below(view: SharedView, prefix: str) -> list[str]:
    found = await view.client.children(prefix)
    folders = [child.removeprefix(prefix).removesuffix("/") for child in found if child.endswith("/")]
    return sorted(name for name in folders if is_name(name))
