"""A real Airflow below a path, and Chromium to look at it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from demo.live_board import open_browser
from demo.scene import Scene
from demo.standalone import AirflowStandalone

DAG = """
from airflow.sdk import DAG
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator

with DAG("board_rollout", schedule=None, params={"release": "3.0.0"}):
    SetDesiredStateOperator(
        task_id="set", environment="shop", tier="web", state="converged",
        values={"release": "{{ params.release }}"}, consul_conn_id="consul_default",
        allow_empty=True,
    )
"""
SECONDS = 60_000  # milliseconds that nothing here should need, on however slow a machine


@dataclass
class Board:
    """The board of one test's environment.

    :param errors: what the page's scripts threw or the console complained of.
    :param requests: the addresses that it asked for.
    """

    page: Page
    scene: Scene
    connection: str
    address: str
    errors: list[str]
    requests: list[str]

    async def open(self, **parameters: str) -> None:
        """Open the page by itself."""
        query = "&".join(f"{name}={value}" for name, value in {"connection": self.connection, **parameters}.items())
        await self.page.goto(f"{self.address}/chefconsul/?{query}")

    def cell(self, node: str) -> Any:
        """A node's cell."""
        return self.page.locator(f'.cell[data-node="{node}"]')

    async def until_standing(self, node: str, standing: str) -> None:
        """Wait until a node's cell says so."""
        await self.page.locator(f'.cell[data-node="{node}"][data-standing="{standing}"]').wait_for()

    async def become(self, token: str | None) -> None:
        """Look as somebody else, or as nobody."""
        await self.page.context.clear_cookies()
        if token:
            await self.page.context.add_cookies([{"name": "_token", "value": token, "url": self.address}])


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStandalone]:
    """One Airflow for all browser tests, below a path as behind a proxy, with a user for each role."""
    home = tmp_path_factory.mktemp("standalone")
    dags = home / "dags"
    dags.mkdir()
    (dags / "board_rollout.py").write_text(DAG)
    with AirflowStandalone(home / "airflow", dags, users={"vera": "viewer", "otto": "op"}, path="/airflow") as started:
        started.wait_until_ready("board_rollout")
        yield started


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium; a missing one is a failure."""
    async with open_browser() as started:
        yield started


@asynccontextmanager
async def look(
    browser: Browser, airflow: AirflowStandalone, port: int, root: str, environment: str = "demo", **options: Any
) -> AsyncIterator[Board]:
    """A board on an environment of its own, seen by a user with the role Op."""
    connection = f"consul_{uuid.uuid4().hex[:12]}"
    airflow.add_connection(connection, conn_type="consul", host="127.0.0.1", port=port, extra=f'{{"prefix": "{root}"}}')
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    context.set_default_timeout(SECONDS)
    page = await context.new_page()
    errors: list[str] = []
    requests: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    async with ConsulClient(ConsulSettings("127.0.0.1", port, root=root)) as client:
        board = Board(page, Scene(SharedView(client), environment), connection, airflow.url, errors, requests)
        await board.become(airflow.token_of("otto"))
        yield board
    await context.close()


@pytest.fixture
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
