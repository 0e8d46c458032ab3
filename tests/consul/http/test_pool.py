"""What clients share, and how long queries may block."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.consul.http.blocking import SHORTEST_WAIT
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.in_flight import InFlight
from airflow_provider_chefconsul.consul.http.pool import Pool
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.sharing import Shared
from airflow_provider_chefconsul.exceptions import ConsulUnavailable, RequestRejected
from tests.support.peer import Answer, Peer, Request

seconds = st.floats(min_value=0, max_value=600).map(lambda number: timedelta(seconds=number))


@given(st.floats(min_value=1, max_value=600), st.lists(st.tuples(st.booleans(), seconds)))
def test_queries_block_for_less_after_a_cut_and_never_for_longer_than_is_set(wait, story):
    """For any series of cut and completed queries."""
    pool = Pool(ConsulSettings("127.0.0.1", 8500, wait=timedelta(seconds=wait)))
    for is_cut, time in story:
        before = pool.longest_wait
        if is_cut:
            pool.learn(time)
            assert pool.longest_wait <= before
            assert pool.longest_wait < time or pool.longest_wait in {before, SHORTEST_WAIT}
        else:
            pool.lasted(time)
            assert pool.longest_wait >= before
        assert SHORTEST_WAIT <= pool.longest_wait <= timedelta(seconds=wait)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.7", False), ("consul.example", False)],
)
async def test_only_an_agent_elsewhere_compresses(host, is_local):
    """On one machine, compressing takes longer than sending."""
    pool = Pool(ConsulSettings(host, 8500))
    assert (pool.short.headers["Accept-Encoding"] == "identity") == is_local
    await pool.close()


async def test_what_is_shared_is_made_once_and_ended_by_the_last():
    """A key that is used again later gets a new resource."""
    shared: Shared[object] = Shared()
    first = shared.acquire("key", object)
    assert shared.acquire("key", object) is first
    assert shared.acquire("other", object) is not first
    assert not shared.release("key", first)
    assert shared.release("key", first)
    assert shared.acquire("key", object) is not first


def test_event_loops_share_nothing():
    """A connection belongs to the loop that opened it."""
    shared: Shared[object] = Shared()

    async def acquire() -> object:
        return shared.acquire("key", object)

    assert asyncio.run(acquire()) is not asyncio.run(acquire())


async def test_question_ends_with_the_last_who_asks():
    """One that loses patience leaves the query to the others; a failure reaches all."""
    asked: list[asyncio.Event] = []
    ended: list[str] = []
    in_flight: InFlight[str] = InFlight()

    async def ask() -> str:
        asked.append(asyncio.Event())
        try:
            await asked[-1].wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "answer"

    patient = asyncio.create_task(in_flight.ask("question", ask, patience=60))
    assert await in_flight.ask("question", ask, patience=0.01) is None
    assert len(asked) == 1
    asked[0].set()
    assert await patient == "answer"
    assert await in_flight.ask("question", ask, patience=0.01) is None
    assert (len(asked), ended) == (2, ["cancelled"])
    failing = [asyncio.create_task(in_flight.ask("other", _fail, patience=60)) for _ in range(3)]
    results = await asyncio.gather(*failing, return_exceptions=True)
    assert [type(result) for result in results] == [ConsulUnavailable] * 3


async def _fail() -> str:
    raise ConsulUnavailable("away")


@pytest.mark.parametrize(
    ("known", "error", "words"),
    [
        ('["dc1", "dc2"]', ConsulUnavailable, "No path to datacenter"),
        ('["dc1", "east"]', RequestRejected, "no datacenter 'dc2'; did you mean 'dc1': check the conn"),
        ('["east"]', RequestRejected, "no datacenter 'dc2'; it knows east: check the connection's datacenter"),
    ],
    ids=["out of reach", "mistyped", "wrong"],
)  # fmt: skip
async def test_datacenter_without_a_path(known, error, words):
    """A known datacenter may come back; an unknown one is a mistake that is reported at once."""

    def answer(request: Request) -> Answer:
        return Answer(200, known) if request.path == "/v1/catalog/datacenters" else Answer(500, "No path to datacenter")

    with Peer(answer) as peer:
        settings = ConsulSettings("127.0.0.1", peer.port, datacenter="dc2")
        async with ConsulClient(settings, retry_for=timedelta(0)) as client:
            with pytest.raises(error, match=words):
                await client.get("key")
