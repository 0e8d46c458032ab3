"""What stands in the data view, read from raw keys."""

from __future__ import annotations

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from tests.support.raw_keys import RawKeys


def generations(kv: RawKeys, tier: str = "web") -> list[int]:
    """What the tier's history holds."""
    return sorted(int(key.rpartition("/")[2]) for key in kv if key.startswith(f"demo/_history/{tier}/"))


def desired(kv: RawKeys, tier: str = "web") -> DesiredState:
    """What stands."""
    return DesiredState.from_json("key", kv[f"demo/{tier}/desired"])
