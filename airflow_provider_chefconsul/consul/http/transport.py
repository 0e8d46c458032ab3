"""The httpx transport under py-consul's endpoints: the token on every request, typed errors, retried reads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from time import monotonic
from typing import Any, TypeVar

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_random_exponential

from airflow_provider_chefconsul.consul.http.answer import check_answer
from airflow_provider_chefconsul.consul.http.pool import Answer, PoolUse
from airflow_provider_chefconsul.consul.http.py_consul import ConsulException, base
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.trouble import (
    QueryCut,
    lacks_tenancy,
    status_error,
    transport_error,
    unknown_datacenter,
)
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, RequestRejected

T = TypeVar("T")
log = logging.getLogger(__name__)
_SILENT_TRIES = 4  # within about a second
_READ_TIMEOUT = 15.0  # seconds; in-flight requests were seen to hang 7 s through an election
_TIME_TO_READ = 60.0  # seconds to read an answer, on top of a blocking query's wait
_LARGEST_ANSWER = 128 << 20  # bytes; ten thousand nodes with the longest reports need less
_GRACE = 1.0  # seconds that an answer may be late
_SHORTEST_CUT = 1.0  # seconds; a query that ends early but after this time was cut by a proxy
_CUTS = {httpx.codes.BAD_GATEWAY, httpx.codes.GATEWAY_TIMEOUT}


class HttpxTransport(base.HTTPClient):
    """Sends the requests of py-consul's endpoints."""

    def __init__(self, settings: ConsulSettings, retry_for: timedelta) -> None:
        super().__init__(settings.host, settings.port, settings.scheme)
        self.base_uri = settings.url
        self._use = PoolUse(settings)
        self._datacenter = settings.datacenter
        self._tenancy = settings.tenancy
        self._retry_for = retry_for

    async def get(
        self, callback: Callable[..., T], path: str, params: Any = None, headers: Any = None, raw: bool = False
    ) -> T:
        """GET, retried while Consul is unavailable.

        A blocking query that a proxy cut is repeated at once without blocking: if Consul was restarted meanwhile, its
        index may happen to be the old one.
        """
        while True:
            retrying = AsyncRetrying(
                retry=retry_if_exception(_is_unavailable),
                stop=stop_after_delay(self._retry_for),
                wait=wait_random_exponential(multiplier=0.1, max=3),
                before_sleep=self._say_once,
                reraise=True,
            )
            try:
                return await retrying(self._send, "GET", callback, path, params, headers=headers, raw=raw)
            except QueryCut as error:
                log.debug("%s; asking again", error)
                params = _without_blocking(dict(params))

    async def put(
        self,
        callback: Callable[..., T],
        path: str,
        params: Any = None,
        data: Any = "",
        headers: Any = None,
        *,
        raw: bool = False,
    ) -> T:
        """PUT, once."""
        return await self._send("PUT", callback, path, params, headers=headers, data=data, raw=raw)

    async def delete(
        self, callback: Callable[..., T], path: str, params: Any = None, data: Any = "", headers: Any = None
    ) -> T:
        """DELETE, once."""
        return await self._send("DELETE", callback, path, params, headers=headers, data=data)

    async def post(
        self, callback: Callable[..., T], path: str, params: Any = None, data: Any = "", headers: Any = None
    ) -> T:
        """POST, once."""
        return await self._send("POST", callback, path, params, headers=headers, data=data)

    async def close(self) -> None:
        """Close all connections, unless other clients use them too."""
        await self._use.close()

    @property
    def longest_wait(self) -> timedelta:
        """How long a query may block now."""
        return self._use.pool.longest_wait

    def _say_once(self, retrying: RetryCallState) -> None:
        """Log once that Consul is unavailable, after a few tries."""
        if retrying.attempt_number == _SILENT_TRIES and retrying.outcome is not None:
            seconds = self._retry_for.total_seconds()
            log.warning("%s; trying again for up to %g s", retrying.outcome.exception(), seconds)

    async def _send(
        self,
        method: str,
        callback: Callable[..., T],
        path: str,
        params: Any,
        *,
        headers: Any,
        data: Any = None,
        raw: bool = False,
    ) -> T:
        await self._check_tenancy()
        if "index" in dict(params or ()):
            response = await self._block_shared(path, dict(params), headers)
        else:
            response = await self._ask(method, path, params, headers, data)
        url = f"{self.base_uri}{path}"
        if response.status_code >= httpx.codes.BAD_REQUEST and response.status_code != httpx.codes.NOT_FOUND:
            text = response.content.decode(errors="replace")
            raise (await self._find_datacenter(text)) or status_error(response.status_code, text, url, sent=data or "")
        body = response.content if raw else response.content.decode(errors="replace")
        try:
            answer = callback(base.Response(response.status_code, response.headers, body))
            check_answer(method, path, answer)
        except (ConsulException, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            raise RequestRejected(f"{url}: this does not answer like Consul: {error!s:.200}") from error
        return answer

    async def _block_shared(self, path: str, params: dict[str, str], headers: Any) -> Answer:
        """Send a blocking query, or wait for the answer if the same query is in flight."""
        question = (path, tuple(sorted((name, value) for name, value in params.items() if name != "wait")))
        patience = float(params["wait"].removesuffix("s")) * 17 / 16 + _GRACE
        answer = await self._use.pool.in_flight.ask(
            question, lambda: self._block_in_turn(path, params, headers), patience=patience
        )
        # The first caller may wait for longer than this one.
        return answer or await self._ask("GET", path, _without_blocking(params), headers)

    async def _ask(self, method: str, path: str, params: Any, headers: Any, data: Any = None) -> Answer:
        """Send a request that does not block, in its turn."""
        pool = self._use.pool
        async with pool.turns:
            return await self._request(pool.short, method, path, params, headers, data=data)

    async def _block_in_turn(self, path: str, params: dict[str, str], headers: Any) -> Answer:
        async with self._use.pool.blocking_turns:
            return await self._block(path, params, headers)

    async def _block(self, path: str, params: dict[str, str], headers: Any) -> Answer:
        """Send a blocking query, on a connection of its own.

        :raises QueryCut: a proxy ended it before Consul was due to answer.
        """
        pool = self._use.pool
        wait = min(float(params["wait"].removesuffix("s")), pool.longest_wait.total_seconds())
        params["wait"] = f"{wait:.3f}s"
        began = monotonic()
        error: ConsulUnavailable | None = None
        response: Answer | None = None
        try:
            response = await self._request(pool.blocking, "GET", path, params, headers, wait=wait)
        except ConsulUnavailable as trouble:
            error = trouble
        blocked = monotonic() - began
        if response is not None and response.status_code not in _CUTS:
            pool.lasted(timedelta(seconds=blocked))
            return response
        if _SHORTEST_CUT <= blocked < wait:
            pool.learn(timedelta(seconds=blocked))
            cause = error or f"{self.base_uri}{path}: {response.status_code if response else ''}"
            raise QueryCut(f"{cause}: cut after {blocked:.1f} s; it was to block for {wait:g} s")
        if response is None:
            assert error is not None
            raise error
        return response

    async def _request(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        params: Any,
        headers: Any,
        *,
        data: Any = None,
        wait: float = 0.0,
    ) -> Answer:
        """Send a request and read the whole answer, bounded in size and time.

        :param wait: seconds that Consul was asked to block; it adds up to a sixteenth.
        """
        patience = wait * 17 / 16 + _READ_TIMEOUT
        url, timeout = f"{self.base_uri}{path}", httpx.Timeout(_READ_TIMEOUT, read=patience)
        try:
            async with (
                asyncio.timeout(patience + _TIME_TO_READ),
                http.stream(method, self.uri(path, params), content=data, headers=headers, timeout=timeout) as response,
            ):
                content = await _read(response, url)
        except TimeoutError as error:
            raise ConsulUnavailable(f"{url}: the answer took longer than {patience + _TIME_TO_READ:g} s") from error
        except (httpx.HTTPError, OSError) as error:  # httpx does not wrap a TLS alert after the handshake
            raise transport_error(error, self.base_uri, size=len(data or "")) from error
        return Answer(response.status_code, response.headers, content)

    async def _check_tenancy(self) -> None:
        """Refuse a namespace or a partition on a Consul that has none, once for the pool.

        Such a Consul ignores them in transactions, and before 1.11 ignores partitions everywhere: what is meant for a
        tenant would go where all others are.
        """
        pool = self._use.pool
        if not self._tenancy or pool.is_enterprise:
            return
        path = "/v1/partitions" if "Partition" in self._tenancy else "/v1/namespaces"
        response = await self._ask("GET", path, None, None)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise lacks_tenancy(self.base_uri, self._tenancy)
        # Whether the token may read that list does not matter; an outage is reported by the request itself.
        pool.is_enterprise = response.status_code < httpx.codes.TOO_MANY_REQUESTS

    async def _find_datacenter(self, body: str) -> RequestRejected | None:
        """The error for a datacenter that Consul does not know; None for one that is only unreachable."""
        if self._datacenter is None or "No path to datacenter" not in body:
            return None
        response = await self._ask("GET", "/v1/catalog/datacenters", None, None)
        return unknown_datacenter(self.base_uri, self._datacenter, response.content)


def _without_blocking(params: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in params.items() if name not in {"index", "wait"}}


def _is_unavailable(error: BaseException) -> bool:
    return isinstance(error, ConsulUnavailable) and not isinstance(error, QueryCut)


async def _read(response: httpx.Response, url: str) -> bytes:
    """Read the whole body.

    :raises RequestRejected: it is larger than anything that this package stores.
    """
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > _LARGEST_ANSWER:
            limit = f"{_LARGEST_ANSWER >> 20} MiB"
            raise RequestRejected(f"{url}: the answer is larger than {limit}; check what answers or is stored there")
        chunks.append(chunk)
    return b"".join(chunks)
