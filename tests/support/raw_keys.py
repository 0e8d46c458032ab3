"""Keys of a real Consul as a mapping, without the package under test."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

import consul


class RawKeys(MutableMapping[str, str]):
    """The keys below a root, as text, read and written without the package under test."""

    def __init__(self, client: consul.Consul, root: str) -> None:
        self.client, self._kv, self._root = client, client.kv, root

    def __getitem__(self, key: str) -> str:
        _, found = self._kv.get(f"{self._root}/{key}")
        if found is None:
            raise KeyError(key)
        return (found["Value"] or b"").decode()

    def __setitem__(self, key: str, value: str) -> None:
        assert self._kv.put(f"{self._root}/{key}", value)

    def __delitem__(self, key: str) -> None:
        assert self._kv.delete(f"{self._root}/{key}")

    def __iter__(self) -> Iterator[str]:
        _, keys = self._kv.get(f"{self._root}/", keys=True)
        return iter([key.removeprefix(f"{self._root}/") for key in keys or []])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def read(self) -> dict[str, str]:
        """All of them, asked for at once."""
        _, entries = self._kv.get(f"{self._root}/", recurse=True)
        return {each["Key"].removeprefix(f"{self._root}/"): (each["Value"] or b"").decode() for each in entries or []}
