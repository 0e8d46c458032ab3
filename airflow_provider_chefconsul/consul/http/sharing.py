"""Sharing one object among its users in an event loop: the first makes it, the last closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    value: T
    users: int = 0


class Shared(Generic[T]):
    """The shared objects of each event loop, by key; none is used in two loops."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Entry[Any]]] = WeakKeyDictionary()

    def acquire(self, key: Hashable, make: Callable[[], T]) -> T:
        """The running loop's object under a key, made on first use; :meth:`release` it once."""
        entries = self._loops.setdefault(asyncio.get_running_loop(), {})
        entry = entries.get(key)
        if entry is None:
            entry = entries[key] = _Entry(make())
        entry.users += 1
        value: T = entry.value
        return value

    def release(self, key: Hashable, value: T) -> bool:
        """Return the object; whether the caller was its last user, and must close it.

        :param value: what :meth:`acquire` returned.
        """
        for entries in self._loops.values():
            entry = entries.get(key)
            if entry is not None and entry.value is value:
                entry.users -= 1
                if entry.users:
                    return False
                del entries[key]
                return True
        return True
