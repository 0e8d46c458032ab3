"""The rollout board, mounted into Airflow's API server: the routes that only read, and all others' headers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.exceptions import ChefConsulError, ConsulUnavailable, InvalidInput
from airflow_provider_chefconsul.hooks.dag_runs import find_run_ends
from airflow_provider_chefconsul.ui import actions
from airflow_provider_chefconsul.ui.access import ACCESS, ConnectionDep, ViewerDep
from airflow_provider_chefconsul.ui.document import dag_ids_of, describe_node
from airflow_provider_chefconsul.ui.feed import Hub
from airflow_provider_chefconsul.ui.source import (
    find_early_failure,
    find_environments,
    read_environments,
    read_tier,
    read_tiers,
)
from airflow_provider_chefconsul.ui.stream import LONGEST_STREAM, stream

_STATIC = FilePath(__file__).parent / "static"
_MOST_TIERS = 16  # per page; each keeps two connections to Consul open
_HEADERS = {
    b"content-security-policy": b"default-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'; "
    b"frame-ancestors 'self'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cache-control": b"no-store",
}


class EventStream(StreamingResponse):
    """Server-sent events, whose generator is closed when the viewer leaves."""

    media_type = "text/event-stream"
    patience = LONGEST_STREAM + 10.0  # seconds; a client that stops reading must not hold a watch open

    async def stream_response(self, send: Send) -> None:
        """Send the events until the stream ends."""
        try:
            async with asyncio.timeout(self.patience):
                await super().stream_response(send)
        except TimeoutError:
            return  # the server then closes the connection
        finally:
            await self.body_iterator.aclose()  # type: ignore[attr-defined]


class Guard:
    """Adds headers that allow a browser no more than the page needs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's protocol
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [each for each in message["headers"] if each[0].lower() not in _HEADERS]
                message["headers"] = [*kept, *_HEADERS.items()]
            await send(message)

        await self._app(scope, receive, send_guarded)


router = APIRouter(prefix="/api/connections/{connection_id}", dependencies=ACCESS)


@router.get("/environments")
async def environments(connection_id: ConnectionDep, dag_id: str = "", run_id: str = "") -> Response:
    """The environments with their tiers, and those that the given Dag run holds or wrote."""
    of_run = await find_environments(connection_id, DagRun(dag_id, run_id)) if dag_id and run_id else []
    found = await read_environments(connection_id)
    return JSONResponse(
        {
            "environments": [{"environment": name, "tiers": tiers} for name, tiers in found.items()],
            "of_run": of_run,
        }
    )


@router.get("/environments/{environment}/events")
async def events(
    request: Request,
    viewer: ViewerDep,
    connection_id: ConnectionDep,
    environment: str,
    tier: Annotated[list[str], Query()],
) -> Response:
    """An environment and some of its tiers, live."""
    check_name("environment", environment)
    tiers = list(dict.fromkeys(check_name("tier", each) for each in tier))
    if len(tiers) > _MOST_TIERS:
        raise InvalidInput(f"cannot show {len(tiers)} tiers at once; choose at most {_MOST_TIERS}")
    await _require(connection_id, environment, tiers)
    hub = request.app.state.hub
    return EventStream(stream(hub, viewer, connection_id, environment, tiers, find_run_ends=find_run_ends))


@router.get("/environments/{environment}/tiers/{tier}/nodes/{node}")
async def node(
    request: Request, viewer: ViewerDep, connection_id: ConnectionDep, *, environment: str, tier: str, node: str
) -> Response:
    """A node's explanation and last report."""
    for kind, name in (("environment", environment), ("tier", tier), ("node", node)):
        check_name(kind, name)
    state = request.app.state.hub.latest((connection_id, environment, tier))
    if state is None:
        state = await read_tier(connection_id, environment, tier)
    early_failure = await find_early_failure(connection_id, environment, node)
    await viewer.learn(dag_ids_of(state, None))
    found = describe_node(state, node, viewer.may_read, now=datetime.now(UTC), early_failure=early_failure)
    if found is None:
        raise HTTPException(404, f"{environment}/{tier} has no member {node}")
    return JSONResponse(found)


async def _require(connection_id: str, environment: str, tiers: list[str]) -> None:
    """Answer with 404 if the environment or a tier does not exist, so that watches are bounded by the tiers there are.

    The stream itself reports an unavailable Consul.
    """
    with suppress(ConsulUnavailable):
        found = await read_tiers(connection_id, environment)
        if not found:
            raise HTTPException(404, f"environment {environment} has no tiers in the Consul of {connection_id}")
        if unknown := [tier for tier in tiers if tier not in found]:
            raise HTTPException(404, f"environment {environment} has no tier {', '.join(unknown)}")


async def _say_error(_: Request, error: Exception) -> Response:
    status = 400 if isinstance(error, InvalidInput) else 503
    return JSONResponse({"detail": one_line(str(error))}, status_code=status)


def create_app() -> FastAPI:
    """The app, with a hub of its own."""
    app = FastAPI(title="Rollout board", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.hub = Hub()
    app.add_exception_handler(ChefConsulError, _say_error)
    app.add_middleware(Guard)
    app.include_router(router)
    app.include_router(actions.router)
    app.mount("/", StaticFiles(directory=_STATIC, html=True))
    return app
