"""One session's worth of remote execution: the keys, events and answers of ``consul exec``'s protocol.

A job lies in the KV store, locked by a session; an event names it to the nodes; each agent acknowledges, runs it,
writes a heartbeat every ``Wait`` and at last its exit code, all locked by that session. Source: Consul's
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

# Characters of an event's payload and filter together. Consul takes 512 bytes in all, which was seen to leave 397 while
# its clock is young, and eight less at last.
LONGEST_EVENT = 385
_SESSION_ID = "00000000-0000-0000-0000-000000000000"
_SESSION_TTL = 15  # seconds; Consul lets a session live up to twice as long
_CLEAN_UP_TIME = 10.0  # seconds
_BLOCK = "0.5s"  # how long a listing blocks
_FOLD_HEARTBEATS = "/out/0"  # a listing shows a node's heartbeats, one key each, as one name that ends so


class Job:
    """A job in Consul, from :meth:`open` to :meth:`close`.

    :param spec: what the agents read from the job's key.
    :param prefix_per_node: keys go below ``PREFIX/NODE/``, and each node has a job and an event of its own; None means
        ``_rexec/``, one job for all, and one event for as many nodes as its filter can name.
    """

    def __init__(self, client: ConsulClient, session: str, spec: str, prefix_per_node: str | None) -> None:
        self.session = session
        self._client = client
        self._spec = spec
        self._prefix_per_node = prefix_per_node
        self._trees: set[str] = set()  # where keys may have been written
        self._written: set[str] = set()  # the jobs that stand

    @classmethod
    async def open(cls, client: ConsulClient, spec: str, prefix_per_node: str | None) -> Job:
        """Open a session that depends on no health check, only on being kept alive.

        It is bound to a server, where the token may list them: unlike client agents, servers stay in the catalog when
        they restart, and a session in another datacenter needs one.
        """
        try:
            _, servers = await client.read("/v1/health/service/consul", {"passing": "1"})
        except AccessDenied:
            servers = []
        session = await client.session.create(
            "chefconsul remote execution",
            node=servers[0]["Node"]["Node"] if servers else None,
            checks=[],
            lock_delay=0,
            behavior="delete",
            ttl=_SESSION_TTL,
        )
        return cls(client, session, spec, prefix_per_node)

    async def keep_alive(self) -> NoReturn:
        """Renew the session for ever.

        :raises SessionLost: Consul does not know it any more.
        """
        while True:
            await asyncio.sleep(_SESSION_TTL / 3)
            try:
                async with asyncio.timeout(_SESSION_TTL / 3):
                    await self._client.session.renew(self.session)
            except (ConsulUnavailable, TimeoutError):
                continue  # it may outlive this, and the next turn will tell
            except RequestRejected as error:  # what py-consul makes of 404
                raise SessionLost(f"session {self.session} has expired: {error}") from error

    async def fire(self, nodes: Sequence[str]) -> None:
        """Write the job, once, and fire the events that name it to the nodes."""
        for batch in batches(nodes) if self._prefix_per_node is None else [[node] for node in nodes]:
            tree = self._tree(batch[0])
            job = f"{tree}job"
            self._trees.add(tree)
            if job not in self._written:
                if not await self._client.kv.put(job, self._spec, acquire=self.session):
                    raise SessionLost(f"session {self.session} could not lock {job}")
                self._written.add(job)
            payload = event_payload(self._prefix(batch[0]), self.session)
            await self._client.event.fire("_rexec", payload, node=node_filter(batch))

    async def names(self, index: int) -> tuple[int, set[str]]:
        """The keys of all nodes, and Consul's index; with ``index``, as soon as one is new, or in half a second.

        :raises SessionLost: the job's keys are gone, as they are when its session has ended.
        """
        watched = self._tree("") if self._prefix_per_node is None else f"{self._prefix_per_node}/"
        index, found = await self._list(watched, _FOLD_HEARTBEATS, index)
        names = set(found)
        if self._written and self._written.isdisjoint(names):
            raise SessionLost(f"session {self.session} is gone, and its keys with it")
        return index, names

    def key(self, node: str, kind: str) -> str:
        """The key under which a node says something: ``ack``, ``exit`` or, for its output, ``out/``."""
        return f"{self._tree(node)}{node}/{kind}"

    async def exit_code(self, node: str) -> int | None:
        """What the node published as exit code; None when it has gone, or is no number."""
        entry = await self._client.get(self.key(node, "exit"))
        try:
            return int(entry.value) if entry else None
        except ValueError:
            return None

    async def output(self, node: str) -> str:
        """What the node published of the command's output."""
        _, chunks = await self._client.tree(self.key(node, "out/"))
        return b"".join(chunk.value for chunk in chunks).decode(errors="replace")

    async def last_sign(self, node: str) -> int | None:
        """Consul's index of the last thing that the node wrote; None when nothing of it stands."""
        index, found = await self._list(self.key(node, ""), "/")
        return index if found else None

    async def forget(self, node: str) -> None:
        """Delete what the node wrote: when it writes the same again, Consul would not count that as a change."""
        await self._client.kv.delete(self.key(node, ""), recurse=True)

    async def close(self) -> None:
        """Destroy the session, then delete what is left; failures are logged, the session's TTL does the rest."""
        try:
            async with asyncio.timeout(_CLEAN_UP_TIME):
                while True:
                    try:
                        await self._client.session.destroy(self.session)  # first: no agent can write from here on
                        for tree in self._trees:
                            await self._client.kv.delete(tree, recurse=True)
                    except ConsulUnavailable:
                        await asyncio.sleep(0.5)
                    else:
                        return
        except (ConsulError, TimeoutError) as error:
            log.warning(
                "remote execution: keys of session %s are left to its TTL: %s", self.session, error or "no answer"
            )

    def _prefix(self, node: str) -> str:
        return prefix_of(node, self._prefix_per_node)

    def _tree(self, node: str) -> str:
        return f"{self._prefix(node)}/{self.session}/"

    async def _list(self, prefix: str, fold: str, index: int = 0) -> tuple[int, list[str]]:
        blocking: dict[str, Any] = {"index": str(index), "wait": _BLOCK} if index else {}
        found_index, found = await self._client.kv.get(prefix, keys=True, separator=fold, **blocking)
        return next_index(index, found_index), found or []


def prefix_of(node: str, prefix_per_node: str | None) -> str:
    """Where the keys of a node's job are."""
    return "_rexec" if prefix_per_node is None else f"{prefix_per_node}/{node}"


def event_payload(prefix: str, session: str = _SESSION_ID) -> str:
    """What an event tells agents: where the job is, and whose session locks it."""
    return json.dumps({"Prefix": prefix, "Session": session}, separators=(",", ":"))


def check_events(nodes: Iterable[str], prefix_per_node: str | None) -> None:
    """Find out whether each node can be named in an event.

    :raises InvalidInput: names the first that cannot.
    """
    for node in nodes:
        length = len(event_payload(prefix_of(node, prefix_per_node))) + len(node_filter([node]))
        if length > LONGEST_EVENT:
            raise InvalidInput(
                f"the event for node {node} would be {length - LONGEST_EVENT} bytes longer than Consul takes; "
                + (
                    "use a shorter prefix_per_node"
                    if prefix_per_node
                    else "its name is too long to be told by an event"
                )
            )


def batches(nodes: Iterable[str]) -> Iterator[list[str]]:
    """Split nodes so that the filter of each batch fits into an event; one name that is too long stands alone."""
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
    """The regular expression, as agents match it, for exactly these nodes."""
    return f"^({'|'.join(re.escape(node).replace(chr(92) + '-', '-') for node in nodes)})$"
