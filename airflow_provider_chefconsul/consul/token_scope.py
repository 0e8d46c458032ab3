"""Checking that the ACL token sees everything: what Consul hides would pass for missing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.exceptions import AccessDenied, RequestRejected

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient
    from airflow_provider_chefconsul.consul.view import SharedView

_DISABLED = "ACL support disabled"
_DENIAL = re.compile(r'(?:(\w+)\s+"([^"]*)"\s*\{\s*policy\s*=|(\w+)\s*=)\s*"deny"')
_HIDING = {"node", "node_prefix", "service", "service_prefix"}
_KEYS = {"key", "key_prefix"}


async def check_token_sees_all(view: SharedView, prefix: str, *, must_be_known: bool = False) -> None:
    """Check that the token sees every key below a prefix, every node and every service.

    Since 1.11 Consul says whether a list leaves something out, and since 1.13 it tells its version. Before that only
    the token's own rules tell, and reading them requires ``acl = "read"``.

    :param prefix: ends with a slash.
    :param must_be_known: also refuse when this cannot be determined.
    :raises AccessDenied: the token does not see everything.
    """
    client = view.client
    await client.get(prefix)  # a list hides what the token may not read; a single key raises
    if await client.children(prefix):
        # Raises when Consul says that it left something out, also of what the separator leaves out.
        await client.read(f"/v1/kv/{prefix}", {"keys": "", "separator": "/"})
    try:
        await _require_catalog(client)
        if await _says_what_it_hides(client):
            return
        denials = await _find_denials(client, prefix)
    except AccessDenied as error:
        if _DISABLED in str(error):
            return
        raise
    if denials:
        raise AccessDenied(
            f"{client.settings.url}: the ACL token's rules deny {', '.join(denials)}, and this Consul does not say "
            f"what it leaves out of lists; remove these rules, or name the tiers that the token may read"
        )
    if denials is None and must_be_known:
        raise AccessDenied(
            f"{client.settings.url}: this Consul does not say what it hides from an ACL token, and the token may not "
            f'read its own rules; give its policy acl = "read", or name environment and tier'
        )


def find_denials(rules: str, prefix: str) -> list[str]:
    """The rules of a policy that may hide nodes, services or keys below a prefix; rules not understood may hide any.

    Where a token's rules conflict, the denial wins. Without a denial, a rule for everything therefore shows everything.
    """
    found = []
    understood = 0
    for kind, segment, whole in _DENIAL.findall(rules):
        understood += whole != "policy"  # the policy of a rule that says more is not understood
        if kind in _HIDING or whole in {"node", "service", "key"} or (kind in _KEYS and segment.startswith(prefix)):
            found.append(f'{kind or whole} "{segment}"')
    return found if understood == rules.count("deny") else [*found, "rules that are not understood"]


async def _require_catalog(client: ConsulClient) -> None:
    if client.settings.tenancy:  # the question has no place for it; Consul Enterprise says what it leaves out of a list
        return
    try:
        may_list = all(await client.authorize([("node", "read", ""), ("service", "read", "")]))
    except RequestRejected:  # an older Consul without this endpoint
        return
    if not may_list:
        raise AccessDenied(
            f"{client.settings.url}: the ACL token may read only some nodes or services, so members may be missing; "
            f'give its policy node_prefix "" read and service_prefix "" read'
        )


async def _says_what_it_hides(client: ConsulClient) -> bool:
    if client.settings.token is None:  # without a token, Consul does not say what it leaves out
        return False
    try:
        await client.read("/v1/agent/version")
    except (AccessDenied, RequestRejected):
        return False
    return True


async def _find_denials(client: ConsulClient, prefix: str) -> list[str] | None:
    """What the token's rules may hide; None when it may not read them."""
    try:
        _, token = await client.read("/v1/acl/token/self")
        policies = _links(token.get("Policies"))
        for role in _links(token.get("Roles")):
            policies |= _links((await client.read(f"/v1/acl/role/{role}"))[1].get("Policies"))
        rules = [(await client.read(f"/v1/acl/policy/{policy}"))[1].get("Rules") for policy in sorted(policies)]
    except (AccessDenied, RequestRejected) as error:
        if _DISABLED in str(error):
            raise
        return None
    return [denial for each in rules for denial in find_denials(str(each), prefix)]


def _links(found: Iterable[dict[str, str]] | None) -> set[str]:
    return {link["ID"] for link in found or ()}
