"""The button that links a task to its tier's key in Consul's own UI."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.hooks.consul import ConsulHook

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

log = logging.getLogger(__name__)


class DesiredStateLink(BaseOperatorLink):
    """Links to the tier's desired state in the Consul UI; the worker makes it when the task ends or defers."""

    name = "Desired state in Consul"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 Airflow's signature
        """The URL; empty when Consul does not tell the name of its datacenter."""
        try:
            return asyncio.run(_address(operator.consul_conn_id, operator.environment, operator.tier))
        except ChefConsulError as error:
            log.info("No link to the Consul UI: %s", error)
            return ""


async def _address(consul_conn_id: str, environment: str, tier: str | list[str]) -> str:
    async with ConsulHook(consul_conn_id).open_view(patience=timedelta(seconds=2)) as view:
        datacenter = await view.client.local_datacenter()
        if isinstance(tier, str):
            page = f"{view.keys.desired(environment, tier)}/edit"
        else:
            page = view.keys.environment(environment)
        return f"{view.client.settings.url}/ui/{quote(datacenter)}/kv/{quote(page)}"
