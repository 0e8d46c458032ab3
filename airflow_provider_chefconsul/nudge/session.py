"""One session of remote execution: the keys, events and answers of ``consul exec``'s protocol.

A job is stored under a key that a session locks, and an event names it to the nodes. Each agent acknowledges it, runs
it, writes a heartbeat every ``Wait`` and finally its exit code, all under the same lock. Source: Consul's
agent/remote_exec.go.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_chefconsul.consul.http.blocking import next_index
from airflow_provider_chefconsul.exceptions import (
    AccessDenied,
    ConsulError,
    ConsulUnavailable,
    InvalidInput,
    RequestRejected,
    SessionLost,
)

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.http.client import ConsulClient

log = logging.getLogger(__name__)

# Characters of an event's payload and filter together. Consul takes 512 bytes in all; that leaves 397 while its logical
# clock is small, and eight fewer as the clock grows.
LONGEST_EVENT = 385
_SESSION_ID = "00000000-0000-0000-0000-000000000000"
_SESSION_TTL = 15  # seconds; Consul lets a session live up to twice as long
_CLEAN_UP_TIME = 10.0  # seconds
_BLOCK = "0.5s"  # how long a listing blocks
_FOLD_HEARTBEATS = "/out/0"  # a listing folds a node's heartbeats, one key each, into one name with this end


class ExecSession:
    """A session and the jobs that it locks, from :meth:`open` to :meth:`close`.

    :param spec: what the agents read from a job's key.
    :param prefix_per_node: keys go below ``PREFIX/NODE/``, and each node has a job and an event of its own; None means
        ``_rexec/``, one job for all, and one event for as many nodes as its filter can name.
    """

    def __init__(self, client: ConsulClient, session_id: str, spec: str, prefix_per_node: str | None) -> None:
        self.id = session_id
        self._client = client
        self._spec = spec
        self._prefix_per_node = prefix_per_node
        self._trees: set[str] = set()  # prefixes below which keys may have been written
        self._written: set[str] = set()  # keys of jobs

    @classmethod
    async def open(cls, client: ConsulClient, spec: str, prefix_per_node: str | None) -> ExecSession:
        """Open a session that depends on no health check, only on being kept alive.

        It is bound to a server, where the token may list them: unlike client agents, servers stay in the catalog when
        they restart, and a session in another datacenter needs one.
        """
        try:
            _, servers = await client.read("/v1/health/service/consul", {"passing": "1"})
        except AccessDenied:
            servers = []
        session_id = await client.session.create(
            "chefconsul remote execution",
            node=servers[0]["Node"]["Node"] if servers else None,
            checks=[],
            lock_delay=0,
            behavior="delete",
            ttl=_SESSION_TTL,
        )
        return cls(client, session_id, spec, prefix_per_node)

    async def keep_alive(self) -> NoReturn:
        """Renew the session until cancelled.

        :raises SessionLost: Consul no longer knows it.
        """
        while True:
            await asyncio.sleep(_SESSION_TTL / 3)
            try:
                async with asyncio.timeout(_SESSION_TTL / 3):
                    await self._client.session.renew(self.id)
            except (ConsulUnavailable, TimeoutError):
                continue  # it may outlive this; the next renewal shows
            except RequestRejected as error:  # what py-consul makes of 404
                raise SessionLost(f"session {self.id} has expired: {error}") from error

    async def fire(self, nodes: Sequence[str]) -> None:
        """Write each job once, and fire the events that name it to the nodes."""
        for batch in batches(nodes) if self._prefix_per_node is None else [[node] for node in nodes]:
            tree = self._tree(batch[0])
            job = f"{tree}job"
            self._trees.add(tree)
            if job not in self._written:
                if not await self._client.kv.put(job, self._spec, acquire=self.id):
                    raise SessionLost(f"session {self.id} could not lock {job}")
                self._written.add(job)
            payload = event_payload(self._prefix(batch[0]), self.id)
            await self._client.event.fire("_rexec", payload, node=node_filter(batch))

    async def names(self, index: int) -> tuple[int, set[str]]:
        """Consul's index and the keys of all nodes; with ``index``, once there is a new one or after half a second.

        :raises SessionLost: the jobs' keys are gone, as they are once the session has ended.
        """
        watched = self._tree("") if self._prefix_per_node is None else f"{self._prefix_per_node}/"
        index, found = await self._list(watched, _FOLD_HEARTBEATS, index)
        names = set(found)
        if self._written and self._written.isdisjoint(names):
            raise SessionLost(f"session {self.id} is gone, and its keys with it")
        return index, names

    def key(self, node: str, kind: str) -> str:
        """The key that a node writes: ``ack``, ``exit`` or, for its output, ``out/``."""
        return f"{self._tree(node)}{node}/{kind}"

    async def exit_code(self, node: str) -> int | None:
        """The exit code that the node published; None when the key is gone or holds no number."""
        entry = await self._client.get(self.key(node, "exit"))
        try:
            return int(entry.value) if entry else None
        except ValueError:
            return None

    async def output(self, node: str) -> str:
        """The output of the command that the node published."""
        _, chunks = await self._client.tree(self.key(node, "out/"))
        return b"".join(chunk.value for chunk in chunks).decode(errors="replace")

    async def last_sign(self, node: str) -> int | None:
        """Consul's index of the node's latest write; None when it has written nothing."""
        index, found = await self._list(self.key(node, ""), "/")
        return index if found else None

    async def forget(self, node: str) -> None:
        """Delete what the node wrote: Consul does not count writing the same value again as a change."""
        await self._client.kv.delete(self.key(node, ""), recurse=True)

    async def close(self) -> None:
        """Destroy the session, then delete its keys; a failure is logged, and the session's TTL cleans up."""
        try:
            async with asyncio.timeout(_CLEAN_UP_TIME):
                while True:
                    try:
                        await self._client.session.destroy(self.id)  # first: no agent can write from here on
                        for tree in self._trees:
                            await self._client.kv.delete(tree, recurse=True)
                    except ConsulUnavailable:
                        await asyncio.sleep(0.5)
                    else:
                        return
        except (ConsulError, TimeoutError) as error:
            log.warning(
                "remote execution: session %s was not cleaned up, its keys go when it expires: %s",
                self.id,
                error or "no answer",
            )

    def _prefix(self, node: str) -> str:
        return prefix_of(node, self._prefix_per_node)

    def _tree(self, node: str) -> str:
        return f"{self._prefix(node)}/{self.id}/"

    async def _list(self, prefix: str, fold: str, index: int = 0) -> tuple[int, list[str]]:
        blocking: dict[str, Any] = {"index": str(index), "wait": _BLOCK} if index else {}
        found_index, found = await self._client.kv.get(prefix, keys=True, separator=fold, **blocking)
        return next_index(index, found_index), found or []


def prefix_of(node: str, prefix_per_node: str | None) -> str:
    """The prefix of the keys of a node's job."""
    return "_rexec" if prefix_per_node is None else f"{prefix_per_node}/{node}"


def event_payload(prefix: str, session_id: str = _SESSION_ID) -> str:
    """The payload of an event: the prefix of the job, and the session that locks it."""
    return json.dumps({"Prefix": prefix, "Session": session_id}, separators=(",", ":"))


def check_events(nodes: Iterable[str], prefix_per_node: str | None) -> None:
    """Check that an event can name each node.

    :raises InvalidInput: names the first node that none can.
    """
    for node in nodes:
        length = len(event_payload(prefix_of(node, prefix_per_node))) + len(node_filter([node]))
        if length > LONGEST_EVENT:
            raise InvalidInput(
                f"the event for node {node} would be {length - LONGEST_EVENT} bytes longer than Consul accepts; use "
                + ("a shorter prefix_per_node" if prefix_per_node else "a shorter node name")
            )


def batches(nodes: Iterable[str]) -> Iterator[list[str]]:
    """Split nodes so that the filter of each batch fits into an event; a name that is too long gets its own."""
    room = LONGEST_EVENT - len(event_payload(prefix_of("", None)))
    batch: list[str] = []
    for node in nodes:
        if batch and len(node_filter([*batch, node])) > room:
            yield batch
            batch = []
        batch.append(node)
    if batch:
        yield batch


def node_filter(nodes: Iterable[str]) -> str:
    """A regular expression, as agents match it, for exactly these nodes."""
    return f"^({'|'.join(re.escape(node).replace(chr(92) + '-', '-') for node in nodes)})$"
