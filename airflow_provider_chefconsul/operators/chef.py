"""Nudging nodes to run chef-client now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.sdk import BaseOperator, conf

from airflow_provider_chefconsul.consul.remote_exec import NodeResult, Outcome
from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput, MalformedDocument, NoMembers
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import DesiredStateLink
from airflow_provider_chefconsul.rollout.convergence import TierSnapshot
from airflow_provider_chefconsul.rollout.desired import DesiredState
from airflow_provider_chefconsul.rollout.membership import parse_members
from airflow_provider_chefconsul.rollout.name import check_tiers
from airflow_provider_chefconsul.rollout.standing import Standing, judge
from airflow_provider_chefconsul.triggers.remote_exec import RemoteExecTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

_DEFERRAL_SLACK = timedelta(minutes=2)  # past the deadline the scheduler ends a task whose triggerer is gone


class ConsulExecChefOperator(BaseOperator):
    """
    Runs chef-client on a tier's nodes by Consul's remote execution, as ``consul exec`` does.

    It is a nudge that saves time: nodes act on the desired state that they read, whether or not a nudge reaches them.
    So a node that does not answer, or whose command fails, is a warning; a ``ConvergedSensor`` judges. Only members
    that are present and have not converged are nudged, so that a retry touches only the rest.

    Nodes need ``disable_remote_exec = false`` in their agents' configuration.

    Returns by node the exit code, or ``"unacknowledged"`` or ``"silent"``.

    :param environment: the tier's environment (templated).
    :param tier: one tier, or several (templated).
    :param command: a shell command line (templated); never put a secret into it.
    :param max_parallel: how many nodes may run at the same time; None is all.
    :param members: who belongs to the tier; see ``ConvergedSensor`` (templated).
    :param all_nodes: nudge members that have converged, too.
    :param prefix_per_node: for clusters whose ACLs confine each node to keys below its own name: the prefix before it,
        such as ``rexec-node``.
    :param timeout: when to come back with the results there are.
    :param consul_conn_id: id of a connection of type ``consul``.
    :param deferrable: whether to wait in the triggerer.
    """

    template_fields: Sequence[str] = ("environment", "tier", "command", "members")
    template_fields_renderers = {"command": "bash"}  # noqa: RUF012 Airflow's declaration
    operator_extra_links = (DesiredStateLink(),)
    ui_color = "#f5ecd8"

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        command: str = "chef-client",
        max_parallel: int | None = None,
        members: str | Sequence[str] = "service",
        all_nodes: bool = False,
        prefix_per_node: str | None = None,
        timeout: timedelta = timedelta(minutes=30),
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_parallel is not None and max_parallel < 1:
            raise InvalidInput(f"max_parallel must be at least 1, not {max_parallel}")
        self.environment = environment
        self.tier = tier
        self.command = command
        self.max_parallel = max_parallel
        self.members = members
        self.all_nodes = all_nodes
        self.prefix_per_node = prefix_per_node
        self.timeout = timeout
        self.consul_conn_id = consul_conn_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, int | str]:  # noqa: ARG002 Airflow's call
        """Choose the nodes, run the command on them, here or by deferring."""
        nodes = asyncio.run(self._choose_nodes(check_tiers(self.environment, self.tier)))
        if not nodes:
            return {}
        trigger = RemoteExecTrigger(
            consul_conn_id=self.consul_conn_id,
            command=self.command,
            nodes=nodes,
            job_id=uuid4().hex,
            deadline=(datetime.now(UTC) + self.timeout).isoformat(),
            max_parallel=self.max_parallel,
            prefix_per_node=self.prefix_per_node,
        )
        if self.deferrable:
            self.defer(trigger=trigger, method_name="execute_complete", timeout=self.timeout + _DEFERRAL_SLACK)
        return self._report(asyncio.run(trigger.attend()))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, int | str]:  # noqa: ARG002 Airflow's call
        """Resume with the results that the trigger sent."""
        try:
            error, fields = event["error"], event["results"]
            results = {
                node: NodeResult(node, Outcome(each["outcome"]), each["exit_code"], each["output"])
                for node, each in fields.items()
            }
        except (TypeError, KeyError, ValueError, AttributeError) as problem:
            raise ChefConsulError(f"the trigger sent something else than results: {event!r}") from problem
        if error:
            raise ChefConsulError(error)
        return self._report(results)

    async def _choose_nodes(self, tiers: Sequence[str]) -> list[str]:
        chosen: set[str] = set()
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            for tier in tiers:
                snapshot = await view.snapshot(self.environment, tier, parse_members(self.members, tier))
                chosen |= self._choose_from(f"{self.environment}/{tier}", snapshot)
        return sorted(chosen)

    def _choose_from(self, where: str, snapshot: TierSnapshot) -> set[str]:
        if not snapshot.members:
            raise NoMembers(f"{where} has no members ({self.members}): no node to run {self.command!r} on")
        if isinstance(snapshot.desired, MalformedDocument):
            raise snapshot.desired
        present = {node for node, member in snapshot.members.items() if member.is_present}
        chosen = present if self.all_nodes else present - _converged_nodes(snapshot)
        self.log.info(
            "%s: %s of %s members to nudge, %s absent, the rest has converged",
            where,
            len(chosen),
            len(snapshot.members),
            len(snapshot.members) - len(present),
        )
        return chosen

    def _report(self, results: Mapping[str, NodeResult]) -> dict[str, int | str]:
        for node, result in results.items():
            match result.outcome:
                case Outcome.EXITED if result.exit_code != 0:
                    self.log.warning("%s: %r exited with %s\n%s", node, self.command, result.exit_code, result.output)
                case Outcome.UNACKNOWLEDGED:
                    self.log.warning("%s: no answer; is its agent's remote execution enabled?", node)
                case Outcome.SILENT:
                    self.log.warning("%s: began %r and has not said how it ended", node, self.command)
        return {node: str(each.outcome) if each.exit_code is None else each.exit_code for node, each in results.items()}


def _converged_nodes(snapshot: TierSnapshot) -> set[str]:
    if not isinstance(snapshot.desired, DesiredState):
        return set()
    return {
        node
        for node, member in snapshot.members.items()
        if judge(member, snapshot.desired.assignment_for(node), snapshot.evidence.get(node))[0] is Standing.CONVERGED
    }
