"""What a Prometheus, or a server with the same API such as Thanos or Mimir, answers to a query. Internal."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from airflow_provider_chefconsul.domain.text import one_line
from airflow_provider_chefconsul.exceptions import PrometheusUnavailable, QueryRejected, UnusableConnection

_FINAL = {httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}  # asking again changes nothing
_OPTIONS = {"allow_redirects", "check_response", "max_redirects", "proxies", "proxy", "stream", "timeout", "trust_env"}
_QUOTED = 300  # characters of what a server says


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """How to reach a Prometheus.

    :param url: what comes before ``/api/v1``.
    :param headers: to send with each request, such as ``Authorization`` or ``X-Scope-OrgID``.
    """

    url: str
    login: tuple[str, str] | None = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | bool = True


def parse_prometheus(
    label: str,
    *,
    host: str | None,
    port: int | None,
    schema: str | None,
    login: str | None,
    password: str | None,
    extra: str | None,
) -> PrometheusSettings:
    """Parse the fields of an Airflow connection of type ``http``, which mean what they mean to Airflow's ``HttpHook``.

    :param label: what to call the connection in an error.
    :param host: a name, or a URL, which may have a path.
    :param extra: a JSON object of headers; of the other things that the hook finds there, ``verify`` (true, false or
        the path of a CA file) and ``cert`` (the path of a certificate and its key) count here.
    :raises UnusableConnection: names the connection and the field; never shows the password or a header.
    """
    if not host:
        raise UnusableConnection(f"{label}: host is missing")
    try:
        url = httpx.URL(host if "://" in host else f"{schema or 'http'}://{host}")
        extras = json.loads(extra or "{}")
    except (httpx.InvalidURL, ValueError) as error:
        raise UnusableConnection(f"{label}: host is no URL, or extra is not JSON: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        raise UnusableConnection(f"{label}: host must be a name or an http or https URL without a password")
    if not isinstance(extras, dict):
        raise UnusableConnection(f"{label}: extra must be a JSON object, not a {type(extras).__name__}")
    verify, cert = extras.pop("verify", True), extras.pop("cert", None)
    return PrometheusSettings(
        str(url.copy_with(port=port) if port else url).rstrip("/"),
        (login, password or "") if login else None,
        {name: str(value) for name, value in extras.items() if name not in _OPTIONS},
        _parse_tls(label, verify, cert) if url.scheme == "https" else True,
    )


def _parse_tls(label: str, verify: Any, cert: Any) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
        if cert:
            context.load_cert_chain(cert)
    except (OSError, TypeError) as error:
        raise UnusableConnection(f"{label}: verify={verify!r} or cert={cert!r} cannot be used: {error}") from error
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Prometheus:
    """A client. Use :func:`open_prometheus`."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self._http = http

    async def read_values(self, query: str, at: datetime) -> list[str]:
        """The values that a query has at a moment, one for each series, as Prometheus writes them.

        :raises QueryRejected: Prometheus refuses the query, or it yields no numbers.
        :raises PrometheusUnavailable: it could not be asked; asking again may help.
        """
        asked = {"query": query, "time": f"{at.timestamp():.3f}"}
        try:
            response = await self._http.post(f"{self.url}/api/v1/query", data=asked)
        except httpx.HTTPError as error:
            raise PrometheusUnavailable(f"{self.url}: {type(error).__name__}: {error}") from error
        answer = _read(response)
        if response.status_code in _FINAL:
            raise QueryRejected(f"{self.url} rejects the query {query!r}: {_quote(response, answer)}")
        if not response.is_success or answer.get("status") != "success":
            raise PrometheusUnavailable(f"{self.url}: {_quote(response, answer)}")
        match answer.get("data"):
            case {"resultType": "scalar", "result": [_, str(value)]}:
                return [value]
            case {"resultType": "vector", "result": list(series)} if all("value" in each for each in series):
                return [each["value"][1] for each in series]
            case {"resultType": str(kind)}:
                kind = "histogram" if kind == "vector" else kind
                raise QueryRejected(f"the query {query!r} yields a {kind}; a gate compares a single number")
            case _:
                raise PrometheusUnavailable(f"{self.url} does not answer as a Prometheus does")


@asynccontextmanager
async def open_prometheus(settings: PrometheusSettings, timeout: timedelta) -> AsyncGenerator[Prometheus]:
    """A client, open inside the context.

    :param timeout: how long a request may take.
    """
    async with httpx.AsyncClient(
        auth=settings.login, headers=settings.headers, verify=settings.tls, timeout=timeout.total_seconds()
    ) as http:
        yield Prometheus(settings.url, http)


def _read(response: httpx.Response) -> dict[str, Any]:
    """The answer; empty when it is not Prometheus', but that of a proxy."""
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _quote(response: httpx.Response, answer: dict[str, Any]) -> str:
    said = str(answer.get("error") or response.text or response.reason_phrase)
    return f"{response.status_code} {one_line(said)[:_QUOTED]}"
