"""Telling the journal whether the next wave of a rollout may begin. No decision depends on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.name import check_tiers
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.hooks.consul import ConsulHook

if TYPE_CHECKING:
    from airflow_provider_chefconsul.domain.model.writer import Writer

log = logging.getLogger(__name__)


async def journal_answer(
    consul_conn_id: str,
    environment: str,
    tier: str | Sequence[str],
    by: Writer,
    act: JournalAct,
    *,
    wave: JournalWave,
    reason: str,
) -> None:
    """Append what a person or a gate said of a wave; an entry that cannot be written is only logged.

    :param act: approved, rejected or gate_failed.
    """
    from airflow_provider_chefconsul.consul.journal import append, now_written

    try:
        scope = tuple(check_tiers(environment, tier))
        entry = JournalEntry(now_written(), by, act, wave=wave, reason=reason, scope=scope)
        async with ConsulHook(consul_conn_id).open_view() as view:
            await append(view, environment, entry)
    except ChefConsulError as error:
        log.warning("%s/%s: the journal does not tell of %s that it %s: %s", environment, tier, wave, act, error)
