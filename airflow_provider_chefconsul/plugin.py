"""The Airflow plugin: the rollout board, in the navigation and on Dag runs, and listeners."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_chefconsul import listener, preload

_PREFIX = "/chefconsul"


class ChefConsulPlugin(AirflowPlugin):
    """Adds the rollout board and the listeners to Airflow: one for asset events, one that preloads the package."""

    name = "chefconsul"
    listeners = [listener, preload]  # noqa: RUF012 Airflow's attribute

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Where the menus lead."""
        from airflow_provider_chefconsul.configuration import read_board_connection  # noqa: PLC0415

        connection = quote(read_board_connection(), safe="")
        return [
            {
                "name": "Rollout board",
                "href": f"chefconsul/?connection={connection}",
                "destination": "nav",
                "category": "browse",
                "url_route": "rollout-board",
            },
            {
                "name": "Rollout board",
                "href": f"chefconsul/?connection={connection}&dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
                "destination": "dag_run",
                "url_route": "rollout-board-of-run",
            },
        ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The page and its routes. Only the API server imports them, since FastAPI takes a second to load."""
        from airflow_provider_chefconsul.ui.app import create_app  # noqa: PLC0415

        return [{"app": create_app(), "url_prefix": _PREFIX, "name": "Rollout board"}]
