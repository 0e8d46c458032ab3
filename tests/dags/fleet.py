"""The demo's eight nodes on real agents, for tests that run Dags."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from demo.cluster import ConsulCluster
from demo.nodes import ENVIRONMENT, TIERS
from tests.support.raw_keys import RawKeys


@dataclass(frozen=True)
class Fleet:
    """A running cluster, and what its shared data view holds."""

    cluster: ConsulCluster
    keys: RawKeys

    def desired(self, tier: str) -> dict[str, Any]:
        """A tier's desired state."""
        document: dict[str, Any] = json.loads(self.keys[f"{ENVIRONMENT}/{tier}/desired"])
        return document

    def assigned(self, tier: str) -> dict[str, Any]:
        """A tier's stable assignment, without the id that chance gave it."""
        return {name: each for name, each in self.desired(tier)["stable"].items() if name != "id"}

    def states_written(self, tier: str) -> list[str]:
        """The states that a tier was given, oldest first."""
        history = sorted(key for key in self.keys if key.startswith(f"{ENVIRONMENT}/_history/{tier}/"))
        return [json.loads(self.keys[key])["stable"]["state"] for key in history]

    def statuses(self, tier: str) -> set[str]:
        """What the tier's nodes report, where they report the generation and state that are desired."""
        desired = self.desired(tier)
        reports = [json.loads(self.keys[f"{ENVIRONMENT}/{tier}/nodes/{node}"]) for node in TIERS[tier]]
        return {
            report["status"]
            if (report["generation"], report["state"]) == (desired["generation"], desired["stable"]["state"])
            else f"{report['node']} at generation {report['generation']}"
            for report in reports
        }
