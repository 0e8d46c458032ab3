"""Whether the ACL token sees all there is: what Consul hides from it would pass for what is not there."""

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
    """Find out whether the token sees every key below a prefix, every node and every service.

    From 1.11 on Consul says of each list whether something was left out, and from 1.13 on what version it is. Before
    that only the token's own rules tell, which it reads with ``acl = "read"``.

    :param prefix: ends with a slash.
    :param must_be_known: whether not knowing is refused, too.
    :raises AccessDenied: it does not see all, or nobody can tell.
    """
    client = view.client
    await client.get(prefix)  # a list leaves out what the token may not read; a single key says so
    if (await client.names(prefix))[1]:
        await client.read(f"/v1/kv/{prefix}", {"keys": ""})  # refused when Consul says that it left something out
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
    """What a policy's rules may hide below a key prefix, of nodes or of services; rules not understood hide all.

    Where rules of one token contradict each other, Consul lets the denial win; so without a denial all is seen that a
    rule for the whole lets be seen.
    """
    found = []
    understood = 0
    for kind, segment, whole in _DENIAL.findall(rules):
        understood += whole != "policy"  # of a rule that says more than that
        if kind in _HIDING or whole in {"node", "service", "key"} or (kind in _KEYS and segment.startswith(prefix)):
            found.append(f'{kind or whole} "{segment}"')
    return found if understood == rules.count("deny") else [*found, "what is not understood here"]


async def _require_catalog(client: ConsulClient) -> None:
    try:
        may_list = all(await client.authorize([("node", "read", ""), ("service", "read", "")]))
    except RequestRejected:  # a Consul that has no such endpoint
        return
    if not may_list:
        raise AccessDenied(
            f"{client.settings.url}: the ACL token may read some nodes or services only, so members may be missing; "
            f'give its policy node_prefix "" read and service_prefix "" read'
        )


async def _says_what_it_hides(client: ConsulClient) -> bool:
    if client.settings.token is None:  # of what it leaves out for want of a token Consul says nothing
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
