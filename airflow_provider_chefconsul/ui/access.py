"""Access to the board: Airflow's own permissions, checked for each request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_connection, requires_access_dag
from airflow.models.connection import Connection
from airflow.models.dag import DagModel
from airflow.sdk import BaseHook, conf
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import Depends, HTTPException, Path, Request

from airflow_provider_chefconsul.domain.model.writer import BOARD, COMMAND_LINE, Writer
from airflow_provider_chefconsul.hooks.consul import ConsulHook

_CONNECTION_ID = re.compile(r"[\w.-]{1,200}", re.ASCII)

ACCESS = [
    Depends(requires_access_connection(method="GET")),  # of the path's connection_id
    Depends(requires_access_dag(method="GET")),  # of the query's dag_id; without one, of Dags altogether
]
"""The dependencies of every route that shows data."""


class BoardUser:
    """What the user of a request may see and do; looked up once for each Dag."""

    def __init__(self, user: BaseUser, connection_id: str) -> None:
        self._user = user
        self._connection_id = connection_id
        self._readable: dict[str, bool] = {}
        self._triggerable: dict[str, bool] = {}
        self._may_edit: bool | None = None

    @property
    def name(self) -> str:
        """Who it is, for the journal."""
        return self._user.get_name()

    async def learn(self, dag_ids: Iterable[str]) -> None:
        """Look up Dags for :meth:`may_read`."""
        if unknown := set(dag_ids) - set(self._readable):
            self._readable |= await asyncio.to_thread(self._ask, unknown, "GET", None)  # it reads the database

    async def learn_rights(self, owners: Iterable[Writer]) -> None:
        """Look up, for :meth:`may_steer` and :attr:`may_edit`, what may be done to tiers with these owners."""
        dag_ids = {owner.dag_id for owner in owners if not owner.is_person} - set(self._triggerable)
        if dag_ids:
            self._triggerable |= await asyncio.to_thread(self._ask, dag_ids, "POST", DagAccessEntity.RUN)
        if self._may_edit is None:
            self._may_edit = await asyncio.to_thread(self._ask_to_edit)

    def may_read(self, dag_id: str) -> bool:
        """Whether the user may read a Dag; False for one that was not looked up. What people did is no Dag's secret."""
        return dag_id in {COMMAND_LINE, BOARD} or self._readable.get(dag_id, False)

    def may_steer(self, owner: Writer) -> bool:
        """Whether the user may move a tier that this task instance, or person, wrote."""
        return self.may_edit if owner.is_person else self._triggerable.get(owner.dag_id, False)

    @property
    def may_edit(self) -> bool:
        """Whether the user may edit the connection, and so freeze tiers and break the lease."""
        return self._may_edit is True

    def _ask(self, dag_ids: set[str], method: ResourceMethod, entity: DagAccessEntity | None) -> dict[str, bool]:
        manager = get_auth_manager()
        return {
            dag_id: manager.is_authorized_dag(
                method=method,
                access_entity=entity,
                details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
                user=self._user,
            )
            for dag_id in dag_ids
        }

    def _ask_to_edit(self) -> bool:
        team = Connection.get_team_name(self._connection_id)
        details = ConnectionDetails(conn_id=self._connection_id, team_name=team)
        return get_auth_manager().is_authorized_connection(method="PUT", details=details, user=self._user)


def find_viewer(user: GetUserDep, connection_id: Annotated[str, Path()]) -> BoardUser:
    """The viewer of a request."""
    return BoardUser(user, connection_id)


def refuse_other_sites(request: Request) -> None:
    """Refuse what a page of another site could send in the name of whoever looks at it.

    Airflow's cookie comes along with it. But no form sends JSON or a header of our own, and no script may without leave
    from a preflight request; what browsers say of the origin is checked beside.
    """
    headers = request.headers
    origin = headers.get("origin")
    own = {headers.get("host"), urlsplit(conf.get("api", "base_url", fallback="")).netloc} - {""}
    is_own = (
        headers.get("x-requested-with") == "rollout-board"
        and headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        and headers.get("sec-fetch-site", "same-origin") == "same-origin"
        and (origin is None or urlsplit(origin).netloc in own)
    )
    if not is_own:
        raise HTTPException(403, "This can only be done on the rollout board's own page.")


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
