"""A lock of the cookbook choregraphie, which nodes of a tier may take beside our slots. It is only read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_chefconsul.domain.model.document import Document, read_object


@dataclass(frozen=True, slots=True)
class ChoregraphieLock:
    """What ``consul_lock`` and ``consul_rack_lock`` of choregraphie 1.0 write: ``{version, concurrency, holders}``.

    :param concurrency: how many may hold it: nodes, or racks.
    :param holders: by node, since when, as Ruby writes a time.
    :param racks: the racks that hold it, each with any number of nodes; empty where nodes hold it.
    """

    key: str
    concurrency: int
    holders: Mapping[str, str] = field(default_factory=dict)
    racks: tuple[str, ...] = ()

    @property
    def in_use(self) -> int:
        """How many hold it: nodes, or racks."""
        return len(self.racks or self.holders)

    @property
    def is_full(self) -> bool:
        """Whether others wait."""
        return self.in_use >= self.concurrency

    @classmethod
    def from_json(cls, key: str, text: str | bytes | None) -> ChoregraphieLock:
        """Read the document under ``key``.

        :raises MalformedDocument: it is no such lock.
        """
        document = read_object(key, text)
        document.integer("version", minimum=1)
        concurrency, holders = document.integer("concurrency", minimum=1), document.child("holders")
        racks = tuple(name for name in holders.fields if isinstance(holders.fields[name], dict))
        if not racks:
            return cls(key, concurrency, _read_times(holders))
        by_rack = [_read_times(holders.child(name)) for name in holders.fields]
        return cls(key, concurrency, {node: since for nodes in by_rack for node, since in nodes.items()}, racks)


def _read_times(holders: Document) -> dict[str, str]:
    return {name: holders.text(name) for name in holders.fields}
