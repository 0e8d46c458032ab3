"""Airflow, Consul and Chromium for pictures and measurements of the rollout board."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, async_playwright

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul
from demo.packages import find
from demo.standalone import AirflowStandalone

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE = 300_000.0  # milliseconds until a page is given up, 30 s otherwise: the machine may be busy
_DAGS = Path(__file__).resolve().parent.parent / "dags"


class BoardError(RuntimeError):
    """The board cannot be shown, because something is missing."""


@dataclass
class LiveBoard:
    """A board in a browser, with the Consul and the Airflow behind it."""

    view: SharedView
    airflow: AirflowStandalone
    browser: Browser
    token: str

    @asynccontextmanager
    async def page(self, *, theme: Literal["light", "dark"] = "light") -> AsyncIterator[Page]:
        """A page of a laptop's size, signed in."""
        context = await self.browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=theme)
        context.set_default_timeout(_PATIENCE)
        await context.add_cookies([{"name": "_token", "value": self.token, "url": self.airflow.url}])
        await context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
        yield await context.new_page()
        await context.close()


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window.

    :raises BoardError: Chromium is missing.
    """
    chromium = find("chromium")
    if chromium is None:
        raise BoardError("Chromium is missing: python -m demo.packages chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=list(CHROMIUM_FLAGS), timeout=_PATIENCE
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def open_board() -> AsyncIterator[LiveBoard]:
    """Start Airflow, Consul and Chromium, and stop them at the end."""
    with tempfile.TemporaryDirectory(prefix="board-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        with (
            AirflowStandalone(directory / "airflow", _DAGS) as airflow,
            ConsulCluster(find_consul(), directory / "consul") as cluster,
        ):
            await asyncio.to_thread(airflow.wait_until_ready, "phase2_declarative_rollout")
            airflow.add_connection(
                "consul_default", conn_type="consul", host="127.0.0.1", port=cluster.http_port, schema="http"
            )
            async with (
                ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port)) as client,
                open_browser() as browser,
            ):
                yield LiveBoard(SharedView(client), airflow, browser, airflow.token_of("admin"))
