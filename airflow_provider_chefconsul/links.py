"""The buttons that link a task to the rollout board, and to its tier's key in Consul's own UI."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.sdk import BaseOperatorLink

from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulError
from airflow_provider_chefconsul.hooks.consul import ConsulHook

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

    from airflow_provider_chefconsul.consul.view import SharedView

log = logging.getLogger(__name__)


class RolloutBoardLink(BaseOperatorLink):
    """Links to the rollout board on the task's environment."""

    name = "Rollout board"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The address below Airflow's own, which its page is based on."""
        asked = {
            "connection": operator.consul_conn_id,
            "environment": operator.environment,
            "dag_id": ti_key.dag_id,
            "run_id": ti_key.run_id,
        }
        return f"chefconsul/?{urlencode(asked)}"


class DesiredStateLink(BaseOperatorLink):
    """Links to the tier's desired state in the Consul UI; the worker makes it when the task ends or defers."""

    name = "State in Consul"  # Airflow sorts by name: the board comes first

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 Airflow's signature
        """The URL; empty when Consul cannot be read."""
        found: str | None = getattr(operator, "consul_page", None)
        return asyncio.run(_find_page(operator)) if found is None else found


LINKS = (RolloutBoardLink(), DesiredStateLink())
"""Those of a task that moves tiers or waits for them."""


async def _find_page(operator: Any) -> str:
    try:
        async with ConsulHook(operator.consul_conn_id).open_view(patience=timedelta(seconds=2)) as view:
            return await page_of(view, operator.environment, operator.tier)
    except ChefConsulError as error:
        log.info("No link to the Consul UI: %s", error)
        return ""


async def page_of(view: SharedView, environment: str, tier: str | Sequence[str]) -> str:
    """The address of a tier's desired state in Consul's UI, or of the folder of several; empty if Consul is away."""
    try:
        datacenter = await view.client.local_datacenter()
    except ConsulError as error:
        log.info("No link to the Consul UI: %s", error)
        return ""
    page = (
        f"{view.keys.desired(environment, tier)}/edit" if isinstance(tier, str) else view.keys.environment(environment)
    )
    settings = view.client.settings
    tenancy = [f"{mark}{name}/" for mark, name in (("_", settings.partition), ("~", settings.namespace)) if name]
    return f"{settings.url}/ui/{''.join(tenancy)}{quote(datacenter)}/kv/{quote(page)}"
