"""The keys of the shared data view; no other module builds any. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from airflow_provider_chefconsul.domain.model.name import NAME_FORM, check_name
from airflow_provider_chefconsul.exceptions import InvalidInput

DEFAULT_ROOT = "chefconsul"
KINDS = ("desired", "nodes", "locks", "done", "slots", "other", "history")
"""The kinds of a tier's keys, see :meth:`Keys.kind`."""
_ROOT = re.compile(rf"{NAME_FORM}(/{NAME_FORM})*")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys under one root prefix."""

    root: str = DEFAULT_ROOT

    def __post_init__(self) -> None:
        if not isinstance(self.root, str) or not _ROOT.fullmatch(self.root):
            raise InvalidInput(f"prefix {self.root!r} is not one or more names with '/' between")

    def environment(self, environment: str) -> str:
        """The prefix of an environment's keys; ends with a slash."""
        return f"{self.root}/{check_name('environment', environment)}/"

    def tier(self, environment: str, tier: str) -> str:
        """The prefix of a tier's keys, except its history; ends with a slash."""
        return f"{self.environment(environment)}{check_name('tier', tier)}/"

    def desired(self, environment: str, tier: str) -> str:
        """The tier's desired state."""
        return f"{self.tier(environment, tier)}desired"

    def lease(self, environment: str) -> str:
        """The environment's lease."""
        return f"{self.environment(environment)}_lease"

    def freeze(self, environment: str) -> str:
        """Which of the environment's tiers nobody may move."""
        return f"{self.environment(environment)}_freeze"

    def journal(self, environment: str) -> str:
        """The prefix of the environment's journal; ends with a slash, a time and letters that make it unique follow."""
        return f"{self.environment(environment)}_journal/"

    def lost_lease(self, environment: str, dag_id: str, run_id: str) -> str:
        """Exists while that Dag run has lost its lease; hashed, since ids of Dag runs may not fit a key."""
        name = sha256(f"{dag_id}\0{run_id}".encode()).hexdigest()[:32]
        return f"{self.environment(environment)}_lost/{name}"

    def reports(self, environment: str, tier: str) -> str:
        """The prefix of the tier's reports; ends with a slash, the node's name follows."""
        return f"{self.tier(environment, tier)}nodes/"

    def report(self, environment: str, tier: str, node: str) -> str:
        """One node's report for the tier."""
        return f"{self.reports(environment, tier)}{check_name('node', node)}"

    def slots(self, environment: str, tier: str) -> str:
        """The prefix of the tier's tickets; ends with a slash, the node's name follows."""
        return f"{self.tier(environment, tier)}_slots/"

    def slot(self, environment: str, tier: str, node: str) -> str:
        """One node's ticket for a slot of the tier."""
        return f"{self.slots(environment, tier)}{check_name('node', node)}"

    def early_failures(self, environment: str) -> str:
        """The prefix of reports of runs that read no tier; ends with a slash, the node's name follows."""
        return f"{self.environment(environment)}_nodes/"

    def all_histories(self, environment: str) -> str:
        """The prefix of all histories of an environment; ends with a slash, tier and generation follow."""
        return f"{self.environment(environment)}_history/"

    def histories(self, environment: str, tier: str) -> str:
        """The prefix of the tier's history; ends with a slash, the generation follows in 12 digits."""
        return f"{self.all_histories(environment)}{check_name('tier', tier)}/"

    def history(self, environment: str, tier: str, generation: int) -> str:
        """The desired state as first written at a generation."""
        return f"{self.histories(environment, tier)}{generation:012d}"

    def kind(self, environment: str, tier: str, key: str) -> str:
        """Which of :data:`KINDS` one of the tier's keys is."""
        if key.startswith(self.histories(environment, tier)):
            return "history"
        rest = key.removeprefix(self.tier(environment, tier))
        folder, slash, name = rest.partition("/")
        is_known = rest == "desired" or (folder in {"nodes", "locks", "done", "_slots"} and slash and name)
        return folder.removeprefix("_") if is_known else "other"
