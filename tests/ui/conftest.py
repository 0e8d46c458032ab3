"""What the tests of the board share: a played environment, a hub, Airflow's API, and a real Airflow with Chromium."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.ui.feed import Hub
from demo.live_board import open_browser
from demo.scene import Scene
from demo.standalone import AirflowStandalone
from tests.ui.browser import Board, look
from tests.ui.viewers import until_idle

DAG = """
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator

with DAG("board_rollout", schedule=None, params={"release": "3.0.0"}):
    SetDesiredStateOperator(
        task_id="set", environment="shop", tier="web", state="converged",
        values={"release": "{{ params.release }}"}, consul_conn_id="consul_default",
        allow_empty=True,
        retries=5, retry_delay=timedelta(seconds=1),  # Airflow fails a task that it cannot start in time
    )
"""


@pytest.fixture
async def scene(cluster: Any, consul_root: str, consul_kv: Any, members: Callable[..., None]) -> AsyncIterator[Scene]:
    """demo/web with three nodes that have converged."""
    members("web-1", "web-2", "web-3")
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port, root=consul_root)) as client:
        scene = Scene(SharedView(client), "demo")
        await scene.declare("web", "converged", release="2.4.0")
        await scene.report("web", "web-1", "web-2", "web-3")
        yield scene


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """A hub that has nothing left open at the end."""
    hub = Hub()
    yield hub
    await until_idle(hub)


@pytest.fixture(scope="session")
def api(airflow_database: None) -> Any:
    """Airflow's API server, as an app, with the plugin that the entry point names."""
    from airflow.api_fastapi.app import create_app

    with warnings.catch_warnings():  # those of Airflow's own routes are not ours
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module="airflow_provider_chefconsul")
        return create_app(apps="core")


@pytest.fixture
async def visit(api: Any) -> AsyncIterator[Callable[..., Any]]:
    """Ask for a path of the board as somebody with a role, or as nobody."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://airflow.test") as client:

        async def visit(
            path: str, role: str | None = "op", method: str = "GET", *, body: str | None = None, **headers: str
        ) -> httpx.Response:
            if role is not None:
                token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=role, role=role))
                headers["Authorization"] = f"Bearer {token}"
            return await client.request(method, f"/chefconsul/{path}", headers=headers, content=body)

        yield visit


@pytest.fixture(scope="package")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStandalone]:
    """One Airflow for all that look at the board, below a path as behind a proxy, with a user for each role."""
    home = tmp_path_factory.mktemp("standalone")
    dags = home / "dags"
    dags.mkdir()
    (dags / "board_rollout.py").write_text(DAG)
    with AirflowStandalone(home / "airflow", dags, users={"vera": "viewer", "otto": "op"}, path="/airflow") as started:
        started.wait_until_ready("board_rollout")
        yield started


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, one for all tests; a missing one is a failure."""
    async with open_browser() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="package")
async def board(
    browser: Browser, airflow: AirflowStandalone, cluster: Any, consul_root: str, consul_kv: Any, members: Any
) -> AsyncIterator[Board]:
    """demo/web with eight nodes that have converged on release 2.4.0."""
    nodes = [f"web-{number}" for number in range(1, 9)]
    members(*nodes)
    async with look(browser, airflow, cluster.http_port, consul_root) as board:
        await board.scene.declare("web", "converged", release="2.4.0")
        await board.scene.report("web", *nodes)
        yield board
