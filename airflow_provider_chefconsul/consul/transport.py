"""The httpx transport under py-consul's endpoints: the token on every request, typed errors, retried reads."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import consul.base
import httpx
from consul.exceptions import ConsulException
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from airflow_provider_chefconsul.consul.answer import check_answer
from airflow_provider_chefconsul.consul.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import (
    AccessDenied,
    ConsulError,
    ConsulUnavailable,
    InvalidInput,
    NoLeader,
    RequestRejected,
    RequestTooLarge,
    TLSFailed,
    TransactionConflict,
)

T = TypeVar("T")
log = logging.getLogger(__name__)
_SILENT_TRIES = 4  # within about a second
_READ_TIMEOUT = 15.0  # seconds; in-flight requests were seen to hang 7 s through an election
_TIME_TO_READ = 60.0  # seconds for all of an answer, beside the wait of a blocking query
_LARGEST_ANSWER = 128 << 20  # bytes; ten thousand nodes with the longest reports are less
_LARGEST_BODY = 512 << 10  # bytes
_LIMITS = "Consul takes 512 KiB for a value and for a transaction, by default"
_NO_LEADER = ("No cluster leader", "No known Consul servers", "leadership lost", "raft is not leader")


class HttpxTransport(consul.base.HTTPClient):
    """What py-consul's endpoints send their requests through."""

    def __init__(self, settings: ConsulSettings, retry_for: timedelta) -> None:
        super().__init__(settings.host, settings.port, settings.scheme)
        self.base_uri = settings.url
        self._http = httpx.AsyncClient(
            headers={"X-Consul-Token": settings.token} if settings.token else {},
            verify=_tls_context(settings) if settings.scheme == "https" else False,
            trust_env=False,  # a node's proxy settings are not meant for its Consul
            follow_redirects=False,
            limits=httpx.Limits(max_connections=64),
        )
        self._retry_for = retry_for

    async def get(
        self, callback: Callable[..., T], path: str, params: Any = None, headers: Any = None, raw: bool = False
    ) -> T:
        """GET, repeated while Consul is unavailable."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(ConsulUnavailable),
            stop=stop_after_delay(self._retry_for),
            wait=wait_random_exponential(multiplier=0.1, max=3),
            before_sleep=self._say_once,
            reraise=True,
        )
        return await retrying(self._send, "GET", callback, path, params, headers=headers, raw=raw)

    async def put(
        self, callback: Callable[..., T], path: str, params: Any = None, data: Any = "", headers: Any = None
    ) -> T:
        """PUT, once."""
        return await self._send("PUT", callback, path, params, headers=headers, data=data)

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
        """Close all connections."""
        await self._http.aclose()

    def _say_once(self, retrying: RetryCallState) -> None:
        """Say in the log that Consul is away, when it has been for some tries."""
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
        url, where, patience = self.uri(path, params), f"{self.base_uri}{path}", _patience(params)
        timeout = httpx.Timeout(_READ_TIMEOUT, read=patience)
        try:
            async with (
                asyncio.timeout(patience + _TIME_TO_READ),
                self._http.stream(method, url, content=data, headers=headers, timeout=timeout) as response,
            ):
                content = await _read(response, where)
        except TimeoutError as error:
            raise ConsulUnavailable(f"{where}: the answer took longer than {patience + _TIME_TO_READ:g} s") from error
        except (httpx.HTTPError, OSError) as error:  # a TLS alert after the handshake passes httpx as it is
            raise _transport_error(error, self.base_uri, size=len(data or "")) from error
        text = content.decode(errors="replace")
        if response.status_code >= httpx.codes.BAD_REQUEST and response.status_code != httpx.codes.NOT_FOUND:
            raise status_error(response.status_code, text, where)
        try:
            answer = callback(consul.base.Response(response.status_code, response.headers, content if raw else text))
            check_answer(method, path, answer)
        except (ConsulException, ValueError, TypeError, AttributeError, LookupError) as error:
            raise RequestRejected(f"{where}: this does not answer like Consul: {error!s:.200}") from error
        return answer


async def _read(response: httpx.Response, where: str) -> bytes:
    """The whole body.

    :raises RequestRejected: it is larger than anything that is kept here.
    """
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > _LARGEST_ANSWER:
            limit = f"{_LARGEST_ANSWER >> 20} MiB"
            raise RequestRejected(f"{where}: the answer is larger than {limit}; look at what answers or is kept there")
        chunks.append(chunk)
    return b"".join(chunks)


def status_error(status: int, body: str, where: str) -> ConsulError:
    """The error for an HTTP status that is not success; 404 is an answer, not an error."""
    words = f"{where}: {status} {' '.join(body.split())[:500]}"
    match status:
        case 409 if "Permission denied" not in body:  # a transaction says so with the status of a conflict
            return TransactionConflict(words)
        case 401 | 403 | 409:
            return AccessDenied(f"{words}: Consul refuses the ACL token for this; check the connection's password")
        case 413:
            return RequestTooLarge(f"{words}: {_LIMITS}")
        case 429:
            return ConsulUnavailable(f"{words}: Consul limits the rate of requests")
        case _ if status >= httpx.codes.INTERNAL_SERVER_ERROR and any(phrase in body for phrase in _NO_LEADER):
            return NoLeader(f"{words}: Consul's servers have no leader; look at `consul operator raft list-peers`")
        case _ if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return ConsulUnavailable(words)
        case _:
            return RequestRejected(words)


def _transport_error(error: httpx.HTTPError | OSError, base_uri: str, *, size: int = 0) -> ConsulError:
    """The error for a connection that failed.

    :param size: bytes that were sent. Consul cuts off a body that it finds too large, often before its answer is read.
    """
    words = str(error) or type(error).__name__
    if size > _LARGEST_BODY and isinstance(error, (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError)):
        return RequestTooLarge(
            f"{base_uri}: the connection was cut while {size} bytes were sent ({words}): {_LIMITS}; send less"
        )
    if _is_tls_failure(error):
        return TLSFailed(f"{base_uri}: {words}; check the connection's schema, verify, cert and key")
    return ConsulUnavailable(f"{base_uri} cannot be reached: {words}")


def _is_tls_failure(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))  # the peer went away: try again
        error = error.__cause__ or error.__context__
    return False


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


def _patience(params: Any) -> float:
    """How long an answer may take: Consul adds up to a sixteenth to the wait of a blocking query."""
    wait = dict(params or ()).get("wait", "0s")
    return float(wait.removesuffix("s")) * 17 / 16 + _READ_TIMEOUT
