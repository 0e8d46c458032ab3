"""Consul's HTTP API as coroutines: py-consul's endpoints over our transport."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from airflow_provider_chefconsul.consul.http.blocking import LONGEST_WAIT, next_index
from airflow_provider_chefconsul.consul.http.entry import (
    CreatedEntry,
    Entry,
    decode_created,
    decode_list,
    decode_results,
)
from airflow_provider_chefconsul.consul.http.operation import LONGEST_TRANSACTION, Operation
from airflow_provider_chefconsul.consul.http.py_consul import CB, base
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.http.transport import HttpxTransport
from airflow_provider_chefconsul.consul.http.trouble import partial_list
from airflow_provider_chefconsul.exceptions import AccessDenied, NoLeader, RequestRejected

T = TypeVar("T")
_TRANSACTION = "/v1/txn"
_UNKNOWN_TOKEN = "Supplied token does not exist"  # noqa: S105 since Consul 1.15 with status 404, which is else an answer


class ConsulClient(base.Consul):
    """py-consul's whole API as coroutines, with typed errors, a token on every request and retried reads.

    Use it as an async context manager inside one event loop.

    :param retry_for: how long a read is retried while Consul is unavailable. Writes are never retried here: when the
        answer is lost, the caller must first check whether the write took effect.
    """

    def __init__(self, settings: ConsulSettings, *, retry_for: timedelta = timedelta(seconds=60)) -> None:
        self.settings = settings
        self.retry_for = retry_for
        self._transport = HttpxTransport(settings, retry_for)
        super().__init__(host=settings.host, port=settings.port, scheme=settings.scheme, dc=settings.datacenter)
        # The transport sends the token as a default header, also where py-consul sends none (txn, event.list) or puts
        # it into the query string (catalog.register); and CONSUL_HTTP_TOKEN must not replace the connection's.
        self.token = None

    def http_connect(self, *_: Any) -> Any:
        """The transport that py-consul's endpoints call."""
        return self._transport

    async def get(self, key: str) -> Entry | None:
        """One key, read consistently; None when it is missing. A forbidden key raises :class:`AccessDenied`."""
        _, found = await self.kv.get(key, consistency="consistent")
        return _entry(found) if found else None

    async def look(self, key: str, *, index: int = 0, wait: timedelta = LONGEST_WAIT) -> tuple[int, Entry | None]:
        """Consul's index and one key; with ``index``, block until a change or for ``wait``, else read consistently."""
        consistency = "default" if index else "consistent"
        found_index, found = await self.kv.get(key, consistency=consistency, **_blocking(index, wait))
        return next_index(index, found_index), _entry(found) if found else None

    async def put(self, key: str, value: str, *, modify_index: int) -> bool:
        """Write a key if its ModifyIndex is still this one (0: if it does not exist); whether Consul did."""
        return bool(await self.kv.put(key, value, cas=modify_index))

    async def delete(self, key: str, *, modify_index: int) -> bool:
        """Delete a key if its ModifyIndex is still this one; whether Consul did."""
        return bool(await self.kv.delete(key, cas=modify_index))

    async def tree(self, prefix: str) -> tuple[int, list[Entry]]:
        """Consul's index and every entry below a prefix, read consistently: a newly elected server may be behind."""
        path, query = f"/v1/kv/{prefix}", {"recurse": "1", "consistent": "1", **self._datacenter}
        index, body = await self._transport.get(_undecoded, path, query, raw=True)
        return next_index(0, index), await self._decoded(decode_list, body, path)

    async def created(self, prefix: str) -> list[CreatedEntry]:
        """Every entry below a prefix with the index of its creation, read consistently."""
        path, query = f"/v1/kv/{prefix}", {"recurse": "1", "consistent": "1", **self._datacenter}
        _, body = await self._transport.get(_undecoded, path, query, raw=True)
        try:
            return decode_created(body)
        except (ValueError, RecursionError) as error:
            raise self._unlike_consul(path, error) from error

    async def names(self, prefix: str, *, index: int = 0, wait: timedelta = LONGEST_WAIT) -> tuple[int, list[str]]:
        """Consul's index and the keys below a prefix; with ``index``, block until one changes or for ``wait``."""
        consistency = "default" if index else "consistent"
        found_index, found = await self.kv.get(prefix, keys=True, consistency=consistency, **_blocking(index, wait))
        return next_index(index, found_index), found or []

    async def trees(self, prefixes: Sequence[str]) -> dict[str, list[Entry]]:
        """By prefix, every entry below it that the token may read; read consistently and in few requests.

        :param prefixes: none may begin with another.
        """
        if len(prefixes) == 1:
            _, entries = await self.tree(prefixes[0])
            return {prefixes[0]: entries}
        found: dict[str, list[Entry]] = {prefix: [] for prefix in prefixes}
        for start in range(0, len(prefixes), LONGEST_TRANSACTION):
            batch = prefixes[start : start + LONGEST_TRANSACTION]
            operations = [Operation.read_tree(prefix) for prefix in batch]
            query = {**self._datacenter, "consistent": "1"}
            document = self._document(operations)
            body = await self._transport.put(_undecoded_body, _TRANSACTION, query, document, raw=True)
            position = 0
            for entry in await self._decoded(decode_results, body, _TRANSACTION):  # in the order of the operations
                while position < len(batch) - 1 and not entry.key.startswith(batch[position]):
                    position += 1
                found[batch[position]].append(entry)
        return found

    async def fold(self, prefix: str, *, index: int = 0, wait: timedelta = LONGEST_WAIT) -> int:
        """Consul's index for a prefix, in a small answer; with ``index``, block until a key below it changes."""
        consistency = "default" if index else "consistent"
        found_index, _ = await self.kv.get(
            prefix, keys=True, separator="/", consistency=consistency, **_blocking(index, wait)
        )
        return next_index(index, found_index)

    async def children(self, prefix: str) -> list[str]:
        """The keys and folders directly below a prefix; a folder ends with a slash."""
        _, found = await self.kv.get(prefix, keys=True, separator="/", consistency="consistent")
        return found or []

    async def transact(self, operations: Sequence[Operation]) -> None:
        """Apply all operations or none.

        :raises TransactionConflict: a check failed.
        :raises RequestTooLarge: they exceed Consul's limits for one transaction.
        """
        # py-consul's own txn.put leaves the datacenter out.
        await self._transport.put(CB.json(), _TRANSACTION, self._datacenter, self._document(operations))

    async def read(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        index: int = 0,
        wait: timedelta = LONGEST_WAIT,
        may_be_partial: bool = False,
    ) -> tuple[int, Any]:
        """Send a GET that py-consul lacks, or whose index or filter it drops; return Consul's index and the body.

        :param may_be_partial: accept a list that leaves out what the token may not read.
        """
        query = {**(params or {}), **(_blocking(index, wait) or {"consistent": "1"}), **self._datacenter}
        found_index, is_filtered, body = await self._transport.get(_decode, path, query)
        self._check_whole(path, is_filtered and not may_be_partial)
        return next_index(index, found_index), body

    async def entries(
        self,
        path: str,
        decode: Callable[[bytes], list[T]],
        params: Mapping[str, str] | None = None,
        *,
        may_be_partial: bool = False,
    ) -> list[T]:
        """A list that may be long, read consistently.

        :param decode: decodes and checks it; raises ValueError.
        :param may_be_partial: accept a list that leaves out what the token may not read.
        """
        query = {**(params or {}), "consistent": "1", **self._datacenter}
        _, is_filtered, body = await self._transport.get(_undecoded_list, path, query, raw=True)
        self._check_whole(path, is_filtered and not may_be_partial)
        try:
            return decode(body)
        except (ValueError, RecursionError) as error:
            raise self._unlike_consul(path, error) from error

    async def leader(self) -> str:
        """The address of the servers' leader.

        :raises NoLeader: they have none.
        """
        _, leader = await self.read("/v1/status/leader")
        if not leader:
            raise NoLeader(f"{self.settings.url}: Consul's servers have no leader")
        return str(leader)

    async def check_token(self) -> None:
        """Check that Consul knows the connection's token; passes without a token or with ACLs disabled.

        :raises AccessDenied: Consul does not know it.
        """
        if self.settings.token is None:
            return
        try:
            await self.read("/v1/acl/token/self")
        except AccessDenied as error:
            if "ACL support disabled" not in str(error):
                raise
        except RequestRejected as error:
            if _UNKNOWN_TOKEN not in str(error):
                raise
            words = (
                f"{self.settings.url}: {_UNKNOWN_TOKEN}: Consul refuses the ACL token; check the connection's password"
            )
            raise AccessDenied(words) from error

    async def authorize(self, rights: Sequence[tuple[str, str, str]]) -> list[bool]:
        """Whether the token has each right, a tuple of resource kind, access and name; an empty name means all names.

        :raises AccessDenied: the token is unknown, or ACLs are disabled.
        """
        asked = [{"Resource": kind, "Access": access, "Segment": name} for kind, access, name in rights]
        path = "/v1/internal/acl/authorize"
        answer = await self._transport.post(CB.json(), path, self._datacenter, json.dumps(asked))
        return [right["Allow"] for right in answer]

    async def local_datacenter(self) -> str:
        """The name of the datacenter that this connection uses."""
        if self.dc:
            return str(self.dc)
        _, names = await self.read("/v1/catalog/datacenters")
        return str(names[0])

    async def close(self) -> None:
        """Close the connections, unless other clients with the same settings use them."""
        await self._transport.close()

    @property
    def longest_wait(self) -> timedelta:
        """How long a query may block now: as in the settings, or less once a proxy has cut one."""
        return self._transport.longest_wait

    @property
    def _datacenter(self) -> dict[str, str]:
        return {"dc": self.dc} if self.dc else {}

    def _document(self, operations: Sequence[Operation]) -> str:
        return json.dumps([operation.to_fields(self.settings.tenancy) for operation in operations])

    async def _decoded(self, decode: Callable[[bytes], Awaitable[list[Entry]]], body: bytes, path: str) -> list[Entry]:
        try:
            return await decode(body)
        except ValueError as error:
            raise self._unlike_consul(path, error) from error

    def _unlike_consul(self, path: str, error: Exception) -> RequestRejected:
        return RequestRejected(f"{self.settings.url}{path}: this does not answer like Consul: {error}")

    def _check_whole(self, path: str, is_partial: bool) -> None:
        if is_partial:
            raise partial_list(self.settings.url, path)

    async def __aenter__(self) -> ConsulClient:
        """Enter the context."""
        return self


def _blocking(index: int, wait: timedelta) -> dict[str, Any]:
    return {"index": str(index), "wait": f"{wait.total_seconds():.3f}s"} if index else {}


def _entry(item: Mapping[str, Any]) -> Entry:
    return Entry(item["Key"], item["Value"] or b"", item["ModifyIndex"])


def _decode(response: base.Response) -> tuple[str, bool, Any]:
    if response.code == HTTPStatus.NOT_FOUND:  # Consul sends it only for a single object, such as a key
        raise ValueError(f"{response.code} {response.body}")
    index, is_filtered, body = _undecoded_list(response)
    return index, is_filtered, msgspec.json.decode(body)


def _undecoded_list(response: base.Response) -> tuple[str, bool, Any]:
    is_filtered = response.headers.get("X-Consul-Results-Filtered-By-ACLs") == "true"
    return response.headers.get("X-Consul-Index", "0"), is_filtered, response.body


def _undecoded(response: base.Response) -> tuple[str, bytes]:
    is_missing = response.code == HTTPStatus.NOT_FOUND  # Consul sends it for a prefix without keys
    return response.headers["X-Consul-Index"], b"[]" if is_missing else response.body


def _undecoded_body(response: base.Response) -> bytes:
    body: bytes = response.body
    return body
