"""The connections to one Consul, shared by all clients of an event loop that have the same settings."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from airflow_provider_chefconsul.consul.http.blocking import SHORTEST_WAIT
from airflow_provider_chefconsul.consul.http.gathering import to_its_end
from airflow_provider_chefconsul.consul.http.in_flight import InFlight
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.sharing import Shared
from airflow_provider_chefconsul.exceptions import InvalidInput

# Consul resets an address's 201st connection, so requests beyond this number take turns.
_CONNECTIONS = 4
# Watches use a handful; each remote execution uses one, for half a second at a time.
_BLOCKING = 64
# A query that takes its turn uses the connection of the one before: Consul may count a closed one for a while.
_IDLE_FOR = 1.0  # seconds
# After a proxy has cut a query, the next ones block for this share of the time that it took.
_BELOW_CUT = 0.8
_ABOVE = 1.1  # waits grow again, since a stopped server may have been mistaken for a proxy


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read in full."""

    status_code: int
    headers: httpx.Headers
    content: bytes


class Pool:
    """Connections to one Consul: a few for requests that do not block, and one for each blocking query.

    Blocking queries are few by design, see ``consul/watching/watch.py``; beyond a limit they take turns, too.
    """

    def __init__(self, settings: ConsulSettings) -> None:
        verify = _tls_context(settings) if settings.scheme == "https" else False
        self._settings = settings
        self.short = _open(settings, verify, httpx.Limits(max_keepalive_connections=_CONNECTIONS))
        idle = httpx.Limits(max_keepalive_connections=_BLOCKING, keepalive_expiry=_IDLE_FOR)
        self.blocking = _open(settings, verify, idle)
        self.in_flight: InFlight[Answer] = InFlight()
        self.turns = asyncio.Semaphore(_CONNECTIONS)
        self.blocking_turns = asyncio.Semaphore(_BLOCKING)
        self.longest_wait = settings.wait
        """How long a query may block; shorter than in the settings once a proxy has cut one."""
        self.is_enterprise = False
        """Whether Consul has been seen to have what the settings' tenancy needs."""

    def learn(self, cut_after: timedelta) -> None:
        """Note that a query was cut after this time, before its wait was over."""
        self.longest_wait = min(self.longest_wait, max(SHORTEST_WAIT, cut_after * _BELOW_CUT))

    def lasted(self, blocked: timedelta) -> None:
        """Note that a query was answered after blocking for this time, so that the next may block slightly longer."""
        if blocked >= self.longest_wait:
            self.longest_wait = min(self._settings.wait, self.longest_wait * _ABOVE)

    async def close(self) -> None:
        """Close all connections."""
        await self.short.aclose()
        await self.blocking.aclose()


class PoolUse:
    """One client's use of a pool, until :meth:`close`.

    :raises InvalidInput: the TLS files of the settings cannot be used.
    """

    def __init__(self, settings: ConsulSettings) -> None:
        # With the files' times in the key, a long-lived process picks up a renewed certificate.
        self._key = (settings, tuple(_changed_at(path) for path in (settings.verify, settings.cert, settings.key)))
        self._is_shared = _is_in_a_loop()
        self.pool = _pools.acquire(self._key, lambda: Pool(settings)) if self._is_shared else Pool(settings)
        self._is_open = True

    async def close(self) -> None:
        """Return the pool; its last user closes it."""
        if self._is_open:
            self._is_open = False
            if not self._is_shared or _pools.release(self._key, self.pool):
                await to_its_end(self.pool.close())


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
    headers = {**settings.tenancy_headers, **({"X-Consul-Token": settings.token} if settings.token else {})}
    if settings.is_local:
        headers["Accept-Encoding"] = "identity"  # compressing takes Consul most of the time of a large answer
    return httpx.AsyncClient(
        headers=headers,
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
