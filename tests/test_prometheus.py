"""The client of a Prometheus: what queries yield, what is refused, and which connections can be used."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_chefconsul.exceptions import PrometheusUnavailable, QueryRejected, UnusableConnection
from airflow_provider_chefconsul.prometheus import PrometheusSettings, open_prometheus, parse_prometheus
from airflow_provider_chefconsul.testing.port import free_port
from tests.support.peer import Answer, Peer

SECOND = timedelta(seconds=1)


async def ask(port: int, query: str, at: datetime | None = None, **settings) -> list[str]:
    """What a server on a port answers."""
    async with open_prometheus(PrometheusSettings(f"http://127.0.0.1:{port}", **settings), 5 * SECOND) as client:
        return await client.read_values(query, at or datetime.now(UTC))


async def test_values(prometheus, metric):
    """One for each series, whatever the number; a scalar has one."""
    prometheus.set(f'{metric}{{code="200"}}', 3)
    prometheus.set(f'{metric}{{code="500"}}', 1)
    assert await ask(prometheus.port, f"sum({metric})") == ["4"]
    assert sorted(await ask(prometheus.port, metric)) == ["1", "3"]
    assert await ask(prometheus.port, f"{metric}_not") == []
    assert await ask(prometheus.port, "scalar(vector(0)) / 0") == ["NaN"]
    assert await ask(prometheus.port, "1 / 0") == ["+Inf"]


async def test_value_of_an_earlier_moment(prometheus, metric):
    """Prometheus remembers."""
    prometheus.set(metric, 1)
    before = datetime.now(UTC)
    prometheus.set(metric, 2)
    assert await ask(prometheus.port, metric, before) == ["1"]
    assert await ask(prometheus.port, metric) == ["2"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sum(up", "rejects the query 'sum\\(up': 400 .*parse error"),
        ("up[1m]", "the query 'up\\[1m\\]' yields a matrix; a gate compares a single number"),
        ("'up'", "yields a string"),
    ],
)
async def test_queries_that_never_work(prometheus, query, words):
    """The error says what is wrong with them."""
    with pytest.raises(QueryRejected, match=words):
        await ask(prometheus.port, query)


HISTOGRAM = {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}


@pytest.mark.parametrize(
    ("status", "text", "error", "words"),
    [
        (401, "who are you?", QueryRejected, "401 who are you?"),
        (403, "", QueryRejected, "403 Forbidden"),
        (503, "<html>\n<b>away</b>", PrometheusUnavailable, "503 <html> <b>away</b>"),
        (429, "", PrometheusUnavailable, "429 Too Many Requests"),
        (422, json.dumps({"status": "error", "error": "too many"}), PrometheusUnavailable, "422 too many"),
        (200, "<html>Log in", PrometheusUnavailable, "200 <html>Log in"),
        (200, "[]", PrometheusUnavailable, r"200 \[\]"),
        (200, json.dumps({"status": "success", "data": {}}), PrometheusUnavailable, "does not answer as a Prometheus"),
        (200, json.dumps({"status": "success", "data": HISTOGRAM}), QueryRejected, "yields a histogram"),
    ],
)
async def test_answers_of_others(status, text, error, words):
    """A proxy in front of it, a server that is no Prometheus, and one that is newer."""
    with Peer(lambda _: Answer(status, text)) as server, pytest.raises(error, match=words):
        await ask(server.port, "up")


async def test_nobody_answers():
    """The error says where."""
    port = free_port()
    with pytest.raises(PrometheusUnavailable, match=f"http://127.0.0.1:{port}: ConnectError"):
        await ask(port, "up")


def parse(**fields) -> PrometheusSettings:
    """The settings of a connection."""
    defaults = dict.fromkeys(("port", "schema", "login", "password", "extra"))
    return parse_prometheus("connection prometheus_default", **{**defaults, "host": "prometheus", **fields})


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, "http://prometheus"),
        ({"port": 9090}, "http://prometheus:9090"),
        ({"schema": "https", "port": 443}, "https://prometheus"),
        ({"host": "https://metrics.example/prometheus/"}, "https://metrics.example/prometheus"),
        ({"host": "http://metrics.example/select/0", "port": 8481}, "http://metrics.example:8481/select/0"),
        ({"host": "::1", "port": 9090}, None),
        ({"host": ""}, None),
        ({"host": "ftp://prometheus"}, None),
        ({"host": "http://me:secret@prometheus"}, None),
        ({"host": "http://"}, None),
        ({"extra": "[]"}, None),
        ({"extra": "{"}, None),
        ({"schema": "https", "extra": '{"verify": "/no/such/file"}'}, None),
        ({"schema": "https", "extra": '{"cert": ["/no/such/file"]}'}, None),
    ],
)
def test_connections(fields, url):
    """The host may be a URL, as Airflow's HttpHook has it; what cannot be used is an error without the secret."""
    if url is not None:
        assert parse(**fields).url == url
        return
    with pytest.raises(UnusableConnection, match=r"^connection prometheus_default: ") as caught:
        parse(**fields)
    assert "secret" not in str(caught.value)


async def test_login_and_headers():
    """Both are sent; options of Airflow's HttpHook are no headers; neither is shown."""
    extra = json.dumps({"X-Scope-OrgID": 7, "timeout": 3, "verify": False})
    with Peer(lambda _: Answer(401)) as server:
        settings = parse(host="127.0.0.1", port=server.port, login="me", password="secret", extra=extra)
        async with open_prometheus(settings, SECOND) as client:
            with pytest.raises(QueryRejected) as caught:
                await client.read_values("up", datetime.now(UTC))
    sent = server.requests[0].headers
    assert (sent["X-Scope-OrgID"], sent["Authorization"]) == ("7", "Basic bWU6c2VjcmV0")
    assert not {"timeout", "verify"} & {name.lower() for name in sent}
    assert "secret" not in f"{settings!r} {caught.value}"
