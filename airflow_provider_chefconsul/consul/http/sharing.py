"""Things of which one serves everybody in an event loop who asks for the same: made by the first, ended by the last."""

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
    """What is shared, by key, in each event loop; a thing is never used in two loops."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Entry[Any]]] = WeakKeyDictionary()

    def acquire(self, key: Hashable, make: Callable[[], T]) -> T:
        """The running loop's thing of that key, made when there is none yet; :meth:`release` it once."""
        entries = self._loops.setdefault(asyncio.get_running_loop(), {})
        entry = entries.get(key)
        if entry is None:
            entry = entries[key] = _Entry(make())
        entry.users += 1
        value: T = entry.value
        return value

    def release(self, key: Hashable, value: T) -> bool:
        """Give the thing back; whether nobody uses it any more, so that whoever asks must close it.

        :param value: what :meth:`acquire` gave.
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
