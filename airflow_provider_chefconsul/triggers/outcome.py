"""How a wait ended: what a trigger sends to the task that resumes, through Airflow's database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from airflow_provider_chefconsul.domain.explanation.explain import NOBODY_DIED, explain_node
from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.membership import carry_over
from airflow_provider_chefconsul.domain.verdict.standing import Standing, Summary
from airflow_provider_chefconsul.domain.verdict.verdict import Converged, Failed
from airflow_provider_chefconsul.exceptions import ChefConsulError

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

    from airflow_provider_chefconsul.consul.tier_wait import WaitResult

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
    """

    ending: Ending
    reason: str = ""
    tiers: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    lines: tuple[str, ...] = ()

    def to_fields(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_event(cls, event: Any) -> Outcome:
        """Read an event that came back through the database.

        :raises ChefConsulError: it is not what this version's trigger sends.
        """
        try:
            return cls(Ending(event["ending"]), event["reason"], dict(event["tiers"]), tuple(event["lines"]))
        except (TypeError, KeyError, ValueError) as error:
            raise ChefConsulError(f"the trigger sent something else than the outcome of a wait: {event!r}") from error

    @classmethod
    def from_error(cls, error: ChefConsulError) -> Outcome:
        """The outcome of a wait that could not go on."""
        return cls(Ending.ERROR, f"{type(error).__name__}: {error}")

    @classmethod
    def from_results(
        cls, environment: str, results: Mapping[str, WaitResult], died: Mapping[str, EarlyFailure] = NOBODY_DIED
    ) -> Outcome | None:
        """The outcome of finished waits; None while one is still waiting and none has failed.

        :param died: by node, runs that read no tier.
        """
        summaries = {tier: result.verdict.summary for tier, result in results.items()}
        tiers = {tier: _summary_fields(summary) for tier, summary in summaries.items()}
        now = datetime.now(UTC)
        lines = tuple(
            f"{environment}/{tier}: {line}" for tier, result in results.items() for line in _explain(result, died, now)
        )
        if len(lines) > _LINES:
            lines = (*lines[:_LINES], f"… and {len(lines) - _LINES} nodes more")
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


def _explain(result: WaitResult, died: Mapping[str, EarlyFailure], now: datetime) -> list[str]:
    """One line for each member that held the wait up: what holds it up, since when, and who can act."""
    if result.snapshot is None or not isinstance(result.snapshot.desired, DesiredState):
        return []
    desired, evidence = result.snapshot.desired, result.snapshot.evidence
    members = carry_over(result.wait.seen_members, result.snapshot.members)
    explained = [
        explain_node(members[node], desired, evidence.get(node), now=now, found=found, died=died.get(node))
        for node, found in sorted(result.verdict.summary.nodes.items())
        if found[0] is not Standing.CONVERGED
    ]
    return [f"{each}; {each.action}" for each in explained]


def _summary_fields(summary: Summary) -> dict[str, Any]:
    by_standing = summary.by_standing
    return {
        "generation": summary.generation,
        "members": len(summary.nodes),
        "counts": {str(standing): len(nodes) for standing, nodes in by_standing.items()},
        "nodes": {
            str(standing): nodes[:_NODES_NAMED]
            for standing, nodes in by_standing.items()
            if standing is not Standing.CONVERGED
        },
    }
