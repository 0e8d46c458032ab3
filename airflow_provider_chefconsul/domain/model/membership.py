"""The members of a tier: how authors select them, and whether Consul has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.exceptions import InvalidInput


class Presence(StrEnum):
    """A node's presence, according to Consul's catalog and health checks."""

    ALIVE = "alive"
    """Its agent is alive, or no check says otherwise; its service may be gone from the catalog."""
    FAILED = "failed"
    """Its agent is not alive, and Consul still lists it."""
    GONE = "gone"
    """Consul no longer lists it."""
    UNKNOWN = "unknown"
    """Named by a Dag's author; Consul does not list it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node of a tier.

    :param unhealthy: its maintenance, and failing checks of the tier's service.
    :param meta: its metadata.
    :param node_id: Consul's id of the machine; None where the catalog has none.
    """

    node: str
    presence: Presence = Presence.ALIVE
    unhealthy: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    node_id: str | None = None

    @property
    def is_present(self) -> bool:
        """Whether its agent is alive."""
        return self.presence is Presence.ALIVE


Members = Mapping[str, Member]
"""The members of a tier by node name."""


@dataclass(frozen=True, slots=True)
class ServiceMembers:
    """The nodes with an instance of a Consul service."""

    service: str

    def __str__(self) -> str:
        """The form in which authors write it."""
        return f"service:{self.service}"


@dataclass(frozen=True, slots=True)
class MetaMembers:
    """The nodes whose metadata has a key with a value."""

    key: str
    value: str

    def __str__(self) -> str:
        """The form in which authors write it."""
        return f"meta:{self.key}={self.value}"


@dataclass(frozen=True, slots=True)
class ListedMembers:
    """Nodes named by the author; those that Consul does not list are unknown."""

    nodes: tuple[str, ...]

    def __str__(self) -> str:
        """The form in which authors write it."""
        return ", ".join(self.nodes)


Selector = ServiceMembers | MetaMembers | ListedMembers


def parse_members(members: str | Sequence[str], tier: str) -> Selector:
    """Parse the ``members`` parameter of operators and sensors.

    :param members: ``"service"`` (the service named like the tier), ``"service:NAME"``, ``"meta:KEY=VALUE"`` or a list
        of node names.
    :raises InvalidInput: it is anything else.
    """
    if not isinstance(members, str):
        if not members:
            raise InvalidInput("members is an empty list; name at least one node")
        return ListedMembers(tuple(dict.fromkeys(check_name("node", node) for node in members)))
    kind, colon, rest = members.partition(":")
    if members == "service":
        return ServiceMembers(tier)
    if kind == "service" and colon:
        return ServiceMembers(check_name("service", rest))
    key, equals, value = rest.partition("=")
    if kind == "meta" and key and equals and value:
        return MetaMembers(key, value)
    raise InvalidInput(
        f"invalid members {members!r}; expected 'service', 'service:NAME', 'meta:KEY=VALUE' or a list of nodes"
    )


def carry_over(seen: frozenset[str], current: Members) -> Members:
    """The members of a wait: the current ones, and as gone those seen earlier that are no longer among them."""
    gone = seen - current.keys()
    return {**current, **{node: Member(node, Presence.GONE) for node in gone}} if gone else current
