"""What is said of a freeze, to whoever looks at a tier that it keeps."""

from __future__ import annotations

import shlex
from datetime import datetime

from airflow_provider_chefconsul.domain.model.freeze import EVERY_TIER, Freeze
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable


def explain_freeze(environment: str, tier: str, freeze: Freeze | Unreadable, *, now: datetime) -> list[str]:
    """Who keeps a tier frozen, since when, until when, why, and how to end that: a line for each entry.

    :param freeze: what stands under the environment's freeze key.
    """
    match freeze:
        case Unreadable() as unreadable:
            return [f"what is frozen cannot be read, so nobody may write: {unreadable}"]
        case Freeze() as standing:
            return [
                f"{'with all tiers ' if name == EVERY_TIER else ''}{entry.describe()}; "
                f"to end that: chefconsul unfreeze {environment} {shlex.quote(name)}"
                for name, entry in standing.of_tier(tier, now=now).entries.items()
            ]
