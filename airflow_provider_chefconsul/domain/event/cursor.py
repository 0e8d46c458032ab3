"""How far a watcher has got: by tier, the newest generation that it has sent an event for."""

from __future__ import annotations

from collections.abc import Mapping

Cursor = Mapping[str, int]
"""By tier, the newest generation that an event was sent for, or that was desired when the watcher started."""


def read_cursor(stored: object) -> Cursor | None:
    """What was stored of a cursor; None when nothing was, or something else."""
    if isinstance(stored, Mapping) and all(type(generation) is int for generation in stored.values()):
        return dict(stored)
    return None


def is_ahead(generations: Mapping[str, int], cursor: Cursor) -> bool:
    """Whether a tier has a generation that no event was sent for yet."""
    return any(generation > cursor.get(tier, 0) for tier, generation in generations.items())
