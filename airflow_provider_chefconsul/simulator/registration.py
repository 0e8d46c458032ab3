"""The catalog entries of simulated nodes: nodes without an agent, each with the service of its tier."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_chefconsul.consul.catalog import EXTERNAL_HEALTH
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable
from airflow_provider_chefconsul.simulator.outbox import apply_all

MARK = "chefconsul-simulated"
"""The metadata of every simulated node: the root prefix and the environment that it is simulated for."""

_ADDRESS = "127.0.0.1"
_NAMED = 5
_ATTEMPTS = 5  # to leave the catalog
_PAUSE = 1.0  # seconds between them


class NameTaken(ChefConsulError):
    """A simulated fleet would mix with nodes that are not its own."""


class FleetRegistration:
    """The fleet's entries in Consul's catalog.

    :param tiers: by node.
    :param node_ids: Consul's ids of their machines, by node; the catalog has none of the others.
    """

    def __init__(
        self,
        client: ConsulClient,
        environment: str,
        tiers: Mapping[str, str],
        node_ids: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._mark = f"{client.settings.root}/{environment}"
        self._tiers = tiers
        self._node_ids = node_ids or {}

    async def claim(self) -> None:
        """Check that nobody else has these names, and remove what an earlier fleet left behind.

        :raises NameTaken: a tier has members that are not simulated for this environment, or a node's name is taken.
        """
        _, nodes = await self._client.read("/v1/catalog/nodes")
        meta = {entry["Node"]: entry["Meta"] or {} for entry in nodes}
        self._check("a node", {node: meta[node] for node in self._tiers if node in meta})
        for tier in sorted(set(self._tiers.values())):
            _, instances = await self._client.read(f"/v1/catalog/service/{tier}")
            self._check(f"tier {tier}", {entry["Node"]: entry["NodeMeta"] or {} for entry in instances})
        ours = set(self._tiers.values())
        left = [node for node, at in meta.items() if at.get(MARK) == self._mark and at.get("tier") in ours]
        await self._remove(left)

    async def register(self, nodes: Iterable[str]) -> None:
        """Make nodes members of their tiers."""
        await apply_all(self._client, [operation for node in nodes for operation in self.joining(node)])

    async def leave(self) -> None:
        """Take all nodes out of the catalog, with their services and checks.

        :raises ConsulUnavailable: Consul stayed away; says what becomes of the nodes.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._remove(self._tiers)
            except ConsulUnavailable as error:
                if attempt == _ATTEMPTS:
                    stay = "the simulated nodes stay in its catalog; the next fleet of this environment removes them"
                    raise ConsulUnavailable(f"{error}; {stay}") from error
                await asyncio.sleep(_PAUSE)
            else:
                return

    def joining(self, node: str) -> list[Operation]:
        """The operations that make a node a member of its tier."""
        tier = self._tiers[node]
        meta = {MARK: self._mark, "tier": tier}
        return [
            Operation.set_node(node, _ADDRESS, meta, self._node_ids.get(node)),
            Operation.set_service(node, tier),
        ]

    async def _remove(self, nodes: Iterable[str]) -> None:
        await apply_all(self._client, [self.leaving(node) for node in nodes])

    @staticmethod
    def leaving(node: str) -> Operation:
        """The operation that takes a node out of the catalog, with its service and check."""
        return Operation.delete_node(node)

    @staticmethod
    def presence(node: str, *, is_present: bool) -> Operation:
        """The operation that makes a member absent, or present again."""
        status = "passing" if is_present else "critical"
        return Operation.set_check(node, EXTERNAL_HEALTH, "Simulated node", status)

    def _check(self, what: str, found: Mapping[str, Mapping[str, Any]]) -> None:
        others = sorted(node for node, meta in found.items() if meta.get(MARK) != self._mark)
        if not others:
            return
        marked = {found[node].get(MARK) for node in others} - {None}
        whose = f"simulated for {marked.pop()}" if marked else "not simulated"
        raise NameTaken(
            f"{what} of the fleet would mix with members that are {whose}: Consul lists {list_some(others, _NAMED)}; "
            f"simulate tiers with other names, or use another Consul"
        )
