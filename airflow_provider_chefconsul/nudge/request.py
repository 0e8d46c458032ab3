"""A nudge that is due in a moment, for the nodes that have not begun by themselves until then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus, Standing

_ENDED = frozenset({Standing.CONVERGED, Standing.UNHEALTHY, Standing.FAILED})
_UNDER_WAY = frozenset({Standing.WAITING, Standing.RUNNING, Standing.REBOOTING})


@dataclass(frozen=True, slots=True)
class NudgeRequest:
    """What to run on the nodes that have not begun by themselves, and when.

    :param command: a shell command line.
    :param job_id: names the job on the nodes; see :func:`job_of`.
    :param attempt: the task's try. A later one runs the command again on nodes where an earlier one has ended.
    :param due: aware; nodes that begin by themselves do so before.
    :param max_parallel: how many nodes may run at the same time; None is all.
    :param prefix_per_node: as in ``run_over_consul``.
    """

    command: str
    job_id: str
    attempt: int
    due: datetime
    max_parallel: int | None = None
    prefix_per_node: str | None = None

    def needs(self, node: NodeStatus, *, begun_at: int, is_resumed: bool) -> bool:
        """Whether a node is to be nudged: it is present, has not ended its run, and has not begun one in this try.

        A run that began before may have been killed, and would then be under way forever.

        :param begun_at: Consul's index when the try began.
        :param is_resumed: whether an earlier nudge of this try was cut off. Then runs under way count in
            ``max_parallel`` again: the job is found on the node, and waited for.
        """
        if not node.member.is_present or node.standing in _ENDED:
            return False
        if node.standing not in _UNDER_WAY or node.evidence is None:
            return True
        return node.evidence.modify_index <= begun_at or (is_resumed and self.max_parallel is not None)

    def to_fields(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "due": self.due.isoformat()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> NudgeRequest:
        """Read what :meth:`to_fields` returned."""
        return cls(**{**fields, "due": datetime.fromisoformat(fields["due"])})


def job_of(writer: Writer, environment: str, generations: Mapping[str, int]) -> str:
    """The name of the job that a task instance runs for what it declared: the same after a worker was lost.

    :param generations: by tier.
    """
    declared = ",".join(f"{environment}/{tier}={generation}" for tier, generation in sorted(generations.items()))
    return f"{writer.dag_id}/{writer.run_id}/{writer.task_id}/{writer.map_index}: {declared}"
