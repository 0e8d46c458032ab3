"""What a viewer may see and do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from airflow_provider_chefconsul.domain.model.writer import Writer


class Rights(Protocol):
    """Knows which Dags' names may be shown, and what may be done."""

    async def learn(self, dag_ids: Iterable[str]) -> None:
        """Look up Dags for :meth:`may_read`."""

    def may_read(self, dag_id: str) -> bool:
        """Whether a Dag's names may be shown."""

    async def learn_rights(self, owners: Iterable[Writer]) -> None:
        """Look up owners of tiers for :meth:`may_steer`."""

    def may_steer(self, owner: Writer) -> bool:
        """Whether tiers with this owner may be moved."""

    @property
    def may_edit(self) -> bool:
        """Whether tiers may be frozen, and the lease broken."""
