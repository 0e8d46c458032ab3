"""What a fleet writes, through a Consul that is away at times."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.operation import LONGEST_TRANSACTION, Operation
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import TransactionConflict
from airflow_provider_chefconsul.simulator.outbox import Outbox
from tests.support.peer import Answer, Peer, Request, forward_to


@asynccontextmanager
async def open_outbox(port: int, root: str) -> AsyncIterator[tuple[Outbox, ConsulClient, asyncio.Task[None]]]:
    """An outbox at work."""
    async with ConsulClient(ConsulSettings("127.0.0.1", port, root=root)) as client:
        outbox = Outbox(client)
        task = asyncio.create_task(outbox.run())
        yield outbox, client, task
        task.cancel()
        await asyncio.wait({task})


async def value_of(client: ConsulClient, key: str, wanted: bytes) -> None:
    """Until the key has that value."""
    index = 0
    async with asyncio.timeout(30):
        while True:
            index, entry = await client.look(key, index=index)
            if entry is not None and entry.value == wanted:
                return


def operations(request: Request) -> int:
    """How many operations a request's transaction holds."""
    return len(json.loads(request.body))


async def test_writes_arrive_in_order_and_together(cluster, consul_root):
    """As many in a transaction as Consul takes; of two for one key, the later one stays."""
    with Peer(forward_to(cluster.http_port)) as peer:
        async with open_outbox(peer.port, consul_root) as (outbox, client, _):
            for number in range(LONGEST_TRANSACTION * 2 + 1):
                outbox.put(f"{consul_root}/{number % 3}", str(number))
            for number in range(LONGEST_TRANSACTION * 2 - 2, LONGEST_TRANSACTION * 2 + 1):
                await value_of(client, f"{consul_root}/{number % 3}", str(number).encode())
        sizes = [operations(request) for request in peer.requests if request.path == "/v1/txn"]
    assert sizes == [LONGEST_TRANSACTION, LONGEST_TRANSACTION, 1]


@pytest.mark.parametrize("trouble", [Answer(500, "No cluster leader"), None])
async def test_writes_are_repeated_while_consul_is_away(cluster, consul_root, trouble):
    """Whether it says so or cuts the connection."""
    troubles = [trouble, trouble]
    forward: Callable[[Request], Answer] = forward_to(cluster.http_port)

    def answer(request: Request) -> Answer | None:
        return troubles.pop() if request.path == "/v1/txn" and troubles else forward(request)

    with Peer(answer) as peer:
        async with open_outbox(peer.port, consul_root) as (outbox, client, _):
            outbox.put(f"{consul_root}/a", "1")
            await value_of(client, f"{consul_root}/a", b"1")
            outbox.put(f"{consul_root}/a", "2")
            await value_of(client, f"{consul_root}/a", b"2")
    assert not troubles


async def test_refusal_ends_the_outbox(cluster, consul_root):
    """It would be refused again."""
    async with open_outbox(cluster.http_port, consul_root) as (outbox, _, task):
        outbox.add(Operation("Node", {"Verb": "explode", "Node": {"Node": "web-1"}}))
        with pytest.raises(TransactionConflict):
            await task
