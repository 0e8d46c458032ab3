"""The connections to one Consul: all clients of an event loop that have the same settings share them."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from airflow_provider_chefconsul.consul.http.blocking import SHORTEST_WAIT
from airflow_provider_chefconsul.consul.http.in_flight import InFlight
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.sharing import Shared
from airflow_provider_chefconsul.exceptions import InvalidInput

# Consul resets an address's 201st connection. What asks for more than this at once takes its turn.
_CONNECTIONS = 8
# Watches take a handful; remote executions take one each, which blocks for half a second only.
_BLOCKING = 64
# A proxy that cut a query after some time cuts the next one no later; this is the share of that time that is left.
_BELOW_CUT = 0.8
_ABOVE = 1.1  # so that what was no proxy, but a server that stopped, is forgotten


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read to its end."""

    status_code: int
    headers: httpx.Headers
    content: bytes


class Pool:
    """Connections to one Consul: a few for requests that are answered at once, and one for each blocking query.

    Blocking queries are few by design, see :mod:`airflow_provider_chefconsul.consul.watching.watch`; should there be
    more, they take turns, too.
    """

    def __init__(self, settings: ConsulSettings) -> None:
        verify = _tls_context(settings) if settings.scheme == "https" else False
        self._settings = settings
        self.short = _open(settings, verify, httpx.Limits(max_keepalive_connections=_CONNECTIONS))
        self.blocking = _open(settings, verify, httpx.Limits(max_keepalive_connections=_CONNECTIONS))
        self.in_flight: InFlight[Answer] = InFlight()
        self.turns = asyncio.Semaphore(_CONNECTIONS)
        self.blocking_turns = asyncio.Semaphore(_BLOCKING)
        self.longest_wait = settings.wait
        """How long a query may block; less than the settings say once somebody on the way has cut one earlier."""

    def learn(self, cut_after: timedelta) -> None:
        """Take notice that a query was cut after so long, which its wait did not ask for."""
        self.longest_wait = min(self.longest_wait, max(SHORTEST_WAIT, cut_after * _BELOW_CUT))

    def lasted(self, blocked: timedelta) -> None:
        """Take notice that a query blocked for so long and was answered: a bit longer may go well, too."""
        if blocked >= self.longest_wait:
            self.longest_wait = min(self._settings.wait, self.longest_wait * _ABOVE)

    async def close(self) -> None:
        """Close all connections."""
        await self.short.aclose()
        await self.blocking.aclose()


class PoolUse:
    """One client's use of a pool, from here to :meth:`close`.

    :raises InvalidInput: the TLS files of the settings cannot be used.
    """

    def __init__(self, settings: ConsulSettings) -> None:
        # A long-lived process takes up a certificate that was renewed once its last client has closed.
        self._key = (settings, tuple(_changed_at(path) for path in (settings.verify, settings.cert, settings.key)))
        self._is_shared = _is_in_a_loop()
        self.pool = _pools.acquire(self._key, lambda: Pool(settings)) if self._is_shared else Pool(settings)
        self._is_open = True

    async def close(self) -> None:
        """Give the pool back; the last one closes it."""
        if self._is_open:
            self._is_open = False
            if not self._is_shared or _pools.release(self._key, self.pool):
                await self.pool.close()


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _changed_at(path: bool | str | None) -> int | None:
    try:
        return Path(path).stat().st_mtime_ns if isinstance(path, str) else None
    except OSError:
        return None


def _open(settings: ConsulSettings, verify: ssl.SSLContext | bool, limits: httpx.Limits) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        headers={"X-Consul-Token": settings.token} if settings.token else {},
        verify=verify,
        trust_env=False,  # a node's proxy settings are not meant for its Consul
        follow_redirects=False,
        limits=limits,
    )


def _tls_context(settings: ConsulSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.verify if isinstance(settings.verify, str) else None)
        if settings.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.cert:
            context.load_cert_chain(settings.cert, settings.key)
    except (OSError, ssl.SSLError) as error:
        named = f"verify={settings.verify!r}, cert={settings.cert!r}, key={settings.key!r}"
        raise InvalidInput(f"the connection's TLS files cannot be used ({named}): {error}") from error
    return context


_pools: Shared[Pool] = Shared()
