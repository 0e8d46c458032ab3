"""How a wait ended: what a trigger sends to the task that resumes, through Airflow's database.

How it is explained is imported when a wait has ended, here and in the triggers: Dag files need none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.domain.text import cut_lines
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.triggers.event_payload import describe_error, read_event

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

    from airflow_provider_chefconsul.consul.tier_wait import WaitResult
    from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure

_NODES_NAMED = 50  # node names per standing in an XCom
_LINES = 200  # lines that name a node and its reason in a task log


class Ending(StrEnum):
    """How a wait ended."""

    CONVERGED = "converged"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a wait ended, and where its tiers stood.

    :param reason: why it failed; empty when it converged.
    :param tiers: by tier, a summary for the XCom: generation, number of members, number of nodes by standing, and the
        names of those that have not converged.
    :param lines: one for each node that held the wait up, for the task's log.
    :param seconds: how long it took: the "wait", and the "nudge" if there was one.
    """

    ending: Ending
    reason: str = ""
    tiers: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_fields(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_event(cls, event: Any) -> Outcome:
        """Read an event that came back through the database.

        :raises ChefConsulError: it is not the outcome of a wait.
        """
        return read_event(
            event,
            "the outcome of a wait",
            lambda fields: cls(
                Ending(fields["ending"]),
                fields["reason"],
                dict(fields["tiers"]),
                tuple(fields["lines"]),
                dict(fields.get("seconds", {})),
            ),
        )

    @classmethod
    def from_error(cls, error: ChefConsulError) -> Outcome:
        """The outcome of a wait that could not go on."""
        return cls(Ending.ERROR, describe_error(error))

    @classmethod
    def from_results(
        cls,
        environment: str,
        results: Mapping[str, WaitResult],
        early_failures: Mapping[str, EarlyFailure] = MappingProxyType({}),
    ) -> Outcome | None:
        """The outcome of finished waits; None while one is still waiting and none has failed.

        :param early_failures: by node, runs that ended before they had read a tier.
        """
        from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed

        tiers = {tier: _summary_fields(result) for tier, result in results.items()}
        now = datetime.now(UTC)
        every_line = [
            f"{environment}/{tier}: {line}"
            for tier, result in results.items()
            for line in _explain(result, early_failures, now)
        ]
        lines = tuple(cut_lines(every_line, _LINES))
        for tier, result in results.items():
            if isinstance(result.verdict, Failed):
                ending = Ending.TIMED_OUT if result.verdict.is_timeout else Ending.FAILED
                return cls(ending, f"{environment}/{tier}: {result.verdict.reason}", tiers, lines)
        if all(isinstance(result.verdict, Converged) for result in results.values()):
            return cls(Ending.CONVERGED, "", tiers, lines)
        return None

    def settle(self, log: Logger) -> dict[str, dict[str, Any]]:
        """Log who held the wait up, and return the summaries or raise.

        :raises AirflowFailException: the tiers failed; a retry would find the same, so there is none.
        :raises AirflowSensorTimeout: the deadline passed; a retry would only double it, so there is none.
        :raises ChefConsulError: Consul could not be asked; a retry may find it back.
        """
        from airflow.sdk.exceptions import (
            AirflowFailException,
            AirflowSensorTimeout,
        )  # the command line needs no Airflow

        write = log.info if self.ending is Ending.CONVERGED else log.error
        for line in self.lines:
            write(line)
        match self.ending:
            case Ending.CONVERGED:
                return dict(self.tiers)
            case Ending.FAILED:
                raise AirflowFailException(self.reason)
            case Ending.TIMED_OUT:
                raise AirflowSensorTimeout(self.reason)
            case Ending.ERROR:
                raise ChefConsulError(self.reason)


def _explain(result: WaitResult, early_failures: Mapping[str, EarlyFailure], now: datetime) -> list[str]:
    """One line for each member that held the wait up: what holds it up, since when, and who can act."""
    from airflow_provider_chefconsul.domain.explanation.node import explain_node

    nodes = result.verdict.status.nodes
    explained = [
        explain_node(node, now=now, early_failure=early_failures.get(name))
        for name, node in sorted(nodes.items())
        if not node.has_converged
    ]
    return [f"{each}; {each.action}" for each in explained]


def _summary_fields(result: WaitResult) -> dict[str, Any]:
    from airflow_provider_chefconsul.domain.verdict.standing import Standing

    by_standing = result.verdict.status.by_standing
    return {
        "generation": result.wait.generation,
        "members": len(result.verdict.status.nodes),
        "counts": {str(standing): len(nodes) for standing, nodes in by_standing.items()},
        "nodes": {
            str(standing): nodes[:_NODES_NAMED]
            for standing, nodes in by_standing.items()
            if standing is not Standing.CONVERGED
        },
    }
