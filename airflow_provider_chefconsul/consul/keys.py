"""The keys of the shared data view; no other module knows one. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from airflow_provider_chefconsul.domain.model.name import NAME_FORM, check_name
from airflow_provider_chefconsul.exceptions import InvalidInput

DEFAULT_ROOT = "chefconsul"
KINDS = ("desired", "nodes", "locks", "done", "other", "history")
"""What a tier's keys hold, as :meth:`Keys.kind` tells."""
_ROOT = re.compile(rf"{NAME_FORM}(/{NAME_FORM})*")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys under one root prefix."""

    root: str = DEFAULT_ROOT

    def __post_init__(self) -> None:
        """Refuse a root that would not survive in a URL.

        :raises InvalidInput: names the root.
        """
        if not isinstance(self.root, str) or not _ROOT.fullmatch(self.root):
            raise InvalidInput(f"prefix {self.root!r} is not one or more names with '/' between")

    def environment(self, environment: str) -> str:
        """What every key of an environment begins with; ends with a slash."""
        return f"{self.root}/{check_name('environment', environment)}/"

    def tier(self, environment: str, tier: str) -> str:
        """What every key of a tier begins with, history apart; ends with a slash."""
        return f"{self.environment(environment)}{check_name('tier', tier)}/"

    def desired(self, environment: str, tier: str) -> str:
        """The tier's desired state."""
        return f"{self.tier(environment, tier)}desired"

    def lease(self, environment: str) -> str:
        """Who holds the environment."""
        return f"{self.environment(environment)}_lease"

    def lost_lease(self, environment: str, dag_id: str, run_id: str) -> str:
        """There when that Dag run's lease was taken over; ids of Dag runs may hold what a key does not take."""
        name = sha256(f"{dag_id}\0{run_id}".encode()).hexdigest()[:32]
        return f"{self.environment(environment)}_lost/{name}"

    def reports(self, environment: str, tier: str) -> str:
        """What the tier's reports begin with; ends with a slash, the rest is the node's name."""
        return f"{self.tier(environment, tier)}nodes/"

    def report(self, environment: str, tier: str, node: str) -> str:
        """One node's report for the tier."""
        return f"{self.reports(environment, tier)}{check_name('node', node)}"

    def early_failures(self, environment: str) -> str:
        """What reports of runs that read no tier begin with; ends with a slash, the rest is the node's name."""
        return f"{self.environment(environment)}_nodes/"

    def all_histories(self, environment: str) -> str:
        """What the histories of an environment's tiers begin with; ends with a slash, tier and generation follow."""
        return f"{self.environment(environment)}_history/"

    def histories(self, environment: str, tier: str) -> str:
        """What the tier's history begins with; ends with a slash, the rest is the generation in 12 digits."""
        return f"{self.all_histories(environment)}{check_name('tier', tier)}/"

    def history(self, environment: str, tier: str, generation: int) -> str:
        """The desired state as it was written at a generation."""
        return f"{self.histories(environment, tier)}{generation:012d}"

    def kind(self, environment: str, tier: str, key: str) -> str:
        """Which of :data:`KINDS` one of the tier's keys is."""
        if key.startswith(self.histories(environment, tier)):
            return "history"
        rest = key.removeprefix(self.tier(environment, tier))
        folder, slash, name = rest.partition("/")
        is_known = rest == "desired" or (folder in {"nodes", "locks", "done"} and slash and name)
        return folder if is_known else "other"
