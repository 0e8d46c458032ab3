"""Holding a lease while Consul is unavailable or its answers are lost."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from airflow_provider_chefconsul.consul import acquisition
from airflow_provider_chefconsul.consul import lease as leasing
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, LeaseLost
from tests.support.factory import make_change, make_lease
from tests.support.peer import Answer, Peer, Request, forward_to

US = DagRun("shop_rollout", "manual__1")
OTHER = DagRun("nightly", "scheduled__1")
TTL = timedelta(seconds=30)


class Clock:
    """A replacement for the waiter's monotonic clock."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(acquisition, "monotonic", lambda: self.now)


def open_client(port: int, root: str, *, retry_for: float = 60) -> ConsulClient:
    """A client for whatever listens there."""
    return ConsulClient(ConsulSettings("127.0.0.1", port, root=root), retry_for=timedelta(seconds=retry_for))


def without_blocking(request: Request) -> Request:
    """The request, answered without blocking."""
    query = {name: value for name, value in request.query.items() if name not in {"index", "wait"}}
    return Request(request.method, f"{request.path}?{urlencode(query, doseq=True)}", request.headers, request.body)


async def test_outage_is_not_counted_against_the_holder(cluster, consul_root, consul_kv, monkeypatch):
    """A look that Consul did not answer within the ttl does not count against the holder: its ttl restarts."""
    clock, forward, lines = Clock(monkeypatch), forward_to(cluster.http_port), []
    consul_kv["demo/_lease"] = make_lease(holder=OTHER, ttl=TTL).to_json()
    durations = iter([0, 100])

    def answer(request: Request) -> Answer:
        if request.method == "GET":
            clock.now += next(durations, 1)
        return forward(without_blocking(request))

    def tell(line: str) -> None:
        lines.append((clock.now, line))

    with Peer(answer) as peer:
        async with open_client(peer.port, consul_root) as client:
            until = datetime.now(UTC) + timedelta(minutes=5)
            assert await acquisition.acquire(
                SharedView(client), "demo", US, ttl=TTL, reason="", until=until, on_progress=tell
            )
    (waiting, _), (taken, line) = lines
    assert "was not renewed for 0:00:30; taking over" in line
    assert (waiting, taken) == (1000, 1100 + 30)


async def test_outage_is_waited_out(cluster, consul_root, consul_kv, monkeypatch):
    """For as long as the wait lasts; it is logged once."""
    monkeypatch.setattr(leasing, "_BACKOFF", 0)
    forward, lines = forward_to(cluster.http_port), []
    consul_kv["demo/_lease"] = make_lease(holder=OTHER, ttl=TTL).to_json()
    seen: list[Request] = []

    def answer(request: Request) -> Answer:
        if request.method == "GET":
            seen.append(request)
            if len(seen) in {2, 3}:
                return Answer(500, "No cluster leader")
            if len(seen) == 4:
                del consul_kv["demo/_lease"]
        return forward(without_blocking(request))

    with Peer(answer) as peer:
        async with open_client(peer.port, consul_root, retry_for=0) as client:
            until = datetime.now(UTC) + timedelta(minutes=5)
            assert await acquisition.acquire(
                SharedView(client), "demo", US, ttl=TTL, reason="", until=until, on_progress=lines.append
            )
    waiting, away = lines
    assert waiting.startswith("demo: waiting, held by Dag nightly, run scheduled__1 since ")
    assert re.fullmatch(r"demo: http://.*/demo/_lease: 500 No cluster leader: .*; trying again until 20.*", away)


@pytest.mark.parametrize("is_applied", [True, False], ids=["answer lost", "request lost"])
async def test_release_whose_answer_was_lost(cluster, consul_root, consul_kv, monkeypatch, is_applied):
    """The lease was released, and is reported as such."""
    monkeypatch.setattr(leasing, "_BACKOFF", 0)
    forward, lost = forward_to(cluster.http_port), []
    consul_kv["demo/_lease"] = make_lease(holder=US).to_json()

    def answer(request: Request) -> Answer | None:
        if request.method == "DELETE" and not lost:
            lost.append(request)
            if is_applied:
                assert forward(request).status == 200
            return None
        return forward(request)

    with Peer(answer) as peer:
        async with open_client(peer.port, consul_root) as client:
            assert await leasing.release(SharedView(client), "demo", US)
            assert "demo/_lease" not in consul_kv
            assert not await leasing.release(SharedView(client), "demo", US)


async def test_lease_taken_over_while_it_is_given_up(cluster, consul_root, consul_kv, monkeypatch):
    """The request was lost and another run took over before the next one: the lease was not released."""
    monkeypatch.setattr(leasing, "_BACKOFF", 0)
    forward = forward_to(cluster.http_port)
    consul_kv["demo/_lease"] = make_lease(holder=US).to_json()

    def answer(request: Request) -> Answer | None:
        if request.method == "DELETE":
            consul_kv["demo/_lease"] = make_lease(holder=OTHER).to_json()
            consul_kv[f"demo/_lost/{lost_name}"] = make_lease(holder=OTHER).to_json()
            return None
        return forward(request)

    with Peer(answer) as peer:
        async with open_client(peer.port, consul_root) as client:
            view = SharedView(client)
            lost_name = view.keys.lost_lease("demo", US.dag_id, US.run_id).rpartition("/")[2]
            assert not await leasing.release(view, "demo", US)
    assert Lease.from_json("key", consul_kv["demo/_lease"]).holder == OTHER


@pytest.mark.parametrize("is_applied", [True, False], ids=["answer lost", "request lost"])
async def test_break_whose_answer_was_lost(cluster, consul_root, consul_kv, is_applied):
    """The former holder's mark proves it; without the mark, nobody can tell that the lease was broken."""
    forward = forward_to(cluster.http_port)
    consul_kv["demo/_lease"] = make_lease(holder=OTHER).to_json()

    def answer(request: Request) -> Answer | None:
        if request.path == "/v1/txn":
            if is_applied:
                assert forward(request).status == 200
            return None
        return forward(request)

    with Peer(answer) as peer:
        async with open_client(peer.port, consul_root) as client:
            view = SharedView(client)
            found = await leasing.find_lease(view, "demo")
            assert found is not None
            try:
                await leasing.break_lease(view, "demo", found, Writer(US.dag_id, US.run_id, "steal"), reason="gone")
                has_broken = True
            except ConsulUnavailable:
                has_broken = False
    assert has_broken is is_applied is ("demo/_lease" not in consul_kv)


async def test_holder_that_was_stopped_for_long_has_lost_its_lease(cluster, consul_root, consul_kv):
    """Its process slept between plan and write until another run took the lease over."""
    forward = forward_to(cluster.http_port)
    consul_kv["demo/_lease"] = make_lease(holder=US).to_json()

    def answer(request: Request) -> Answer:
        if request.path == "/v1/txn":
            consul_kv["demo/_lease"] = make_lease(holder=OTHER).to_json()
            consul_kv[f"demo/_lost/{lost_name}"] = make_lease(holder=OTHER).to_json()
        return forward(request)

    with Peer(answer) as peer:
        async with open_client(peer.port, consul_root) as client:
            view = SharedView(client, patience=timedelta(0))
            lost_name = view.keys.lost_lease("demo", US.dag_id, US.run_id).rpartition("/")[2]
            with pytest.raises(LeaseLost, match="Dag nightly, run scheduled__1 took the lease of environment demo"):
                await write(view, "demo", {"web": make_change()})
    assert "demo/web/desired" not in consul_kv
