"""Access to the board: Airflow's own permissions, checked for each request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_connection, requires_access_dag
from airflow.models.dag import DagModel
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import Depends, HTTPException, Path

from airflow_provider_chefconsul.hooks.consul import ConsulHook

_CONNECTION_ID = re.compile(r"[\w.-]{1,200}", re.ASCII)

ACCESS = [
    Depends(requires_access_connection(method="GET")),  # of the path's connection_id
    Depends(requires_access_dag(method="GET")),  # of the query's dag_id; without one, of Dags altogether
]
"""The dependencies of every route that shows data."""


class BoardUser:
    """Which Dags the user of a request may read; looked up once for each Dag."""

    def __init__(self, user: BaseUser) -> None:
        self._user = user
        self._known: dict[str, bool] = {}

    async def learn(self, dag_ids: Iterable[str]) -> None:
        """Look up Dags for :meth:`may_read`."""
        if unknown := set(dag_ids) - set(self._known):
            self._known |= await asyncio.to_thread(self._ask, unknown)  # it reads the database

    def may_read(self, dag_id: str) -> bool:
        """Whether the user may read a Dag; False for one that was not looked up."""
        return self._known.get(dag_id, False)

    def _ask(self, dag_ids: set[str]) -> dict[str, bool]:
        manager = get_auth_manager()
        return {
            dag_id: manager.is_authorized_dag(
                method="GET",
                details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
                user=self._user,
            )
            for dag_id in dag_ids
        }


def find_viewer(user: GetUserDep) -> BoardUser:
    """The viewer of a request."""
    return BoardUser(user)


async def find_connection(connection_id: Annotated[str, Path()]) -> str:
    """The id of an existing connection of type ``consul``; any other is answered with 404."""
    is_consul = False
    if _CONNECTION_ID.fullmatch(connection_id):
        try:
            connection = await BaseHook.aget_connection(connection_id)
            is_consul = connection.conn_type == ConsulHook.conn_type
        except AirflowNotFoundException:
            pass
    if not is_consul:
        raise HTTPException(404, f"{connection_id!a:.220} is not the id of a connection of type consul")
    return connection_id


ViewerDep = Annotated[BoardUser, Depends(find_viewer)]
ConnectionDep = Annotated[str, Depends(find_connection)]
