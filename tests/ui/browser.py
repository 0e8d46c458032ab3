"""The board of a test's environment, in Chromium."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, Page

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from demo.scene import Scene
from demo.standalone import AirflowStandalone

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


@asynccontextmanager
async def look(
    browser: Browser, airflow: AirflowStandalone, port: int, root: str, environment: str = "demo", **options: Any
) -> AsyncIterator[Board]:
    """A board on an environment of its own, seen by a user with the role Op."""
    connection = f"consul_{uuid.uuid4().hex[:12]}"
    airflow.add_connection(connection, conn_type="consul", host="127.0.0.1", port=port, extra=f'{{"prefix": "{root}"}}')
    async with (
        await browser.new_context(viewport={"width": 1280, "height": 800}, **options) as context,
        ConsulClient(ConsulSettings("127.0.0.1", port, root=root)) as client,
    ):
        context.set_default_timeout(SECONDS)
        page = await context.new_page()
        errors: list[str] = []
        requests: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: requests.append(request.url))
        board = Board(page, Scene(SharedView(client), environment), connection, airflow.url, errors, requests)
        await board.become(airflow.token_of("otto"))
        yield board
