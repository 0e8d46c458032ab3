"""The data view's contents, read from raw keys."""

from __future__ import annotations

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from tests.support.raw_keys import RawKeys


def generations(kv: RawKeys, tier: str = "web") -> list[int]:
    """The generations in the tier's history."""
    return sorted(int(key.rpartition("/")[2]) for key in kv if key.startswith(f"demo/_history/{tier}/"))


def desired(kv: RawKeys, tier: str = "web") -> DesiredState:
    """The tier's desired state."""
    return DesiredState.from_json("key", kv[f"demo/{tier}/desired"])
