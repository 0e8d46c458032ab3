"""Nudging nodes to run chef-client now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.sdk import BaseOperator, conf

from airflow_provider_chefconsul.consul.remote_exec import NodeResult, Outcome
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import DesiredStateLink
from airflow_provider_chefconsul.rollout.generation import read_generations
from airflow_provider_chefconsul.rollout.membership import parse_members
from airflow_provider_chefconsul.rollout.name import check_tiers
from airflow_provider_chefconsul.rollout.standing import Standing, judge
from airflow_provider_chefconsul.triggers.converged import DEFERRAL_SLACK, PATIENCE
from airflow_provider_chefconsul.triggers.remote_exec import BEGINNING_KEY, RemoteExecTrigger, read_results

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg


class ConsulExecChefOperator(BaseOperator):
    """
    Runs chef-client on a tier's nodes by Consul's remote execution, as ``consul exec`` does.

    It is a nudge that saves time: nodes act on the desired state that they read, whether or not a nudge reaches them.
    So a node that does not answer, or whose command fails, is a warning; a ``ConvergedSensor`` judges. Only members
    that are present and have not converged are nudged, so that a retry touches only the rest.

    Nodes need ``disable_remote_exec = false`` in their agents' configuration.

    Returns by node the exit code, or ``"unacknowledged"`` or ``"silent"``. Consul's index before the nudge goes
    into the XCom ``beginning``.

    :param environment: the tier's environment (templated).
    :param tier: one tier, or several (templated).
    :param command: a shell command line (templated); never put a secret into it.
    :param generation: nudge only members that are assigned this generation, a number or the mapping that a
        ``SetDesiredStateOperator`` returns; None is all members, whatever they are assigned (templated).
    :param max_parallel: how many nodes may run at the same time; None is all.
    :param members: who belongs to the tier; see ``ConvergedSensor`` (templated).
    :param all_nodes: nudge members that have converged, too.
    :param prefix_per_node: for clusters whose ACLs confine each node to keys below its own name: the prefix before it,
        such as ``rexec-node``.
    :param timeout: when to come back with the results there are.
    :param consul_conn_id: id of a connection of type ``consul``.
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    template_fields: Sequence[str] = ("environment", "tier", "command", "generation", "members")
    template_fields_renderers = {"command": "bash"}  # noqa: RUF012 Airflow's declaration
    operator_extra_links = (DesiredStateLink(),)
    ui_color = "#f5ecd8"

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        command: str = "chef-client",
        generation: int | str | Mapping[str, int] | XComArg | None = None,
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
        if not isinstance(timeout, timedelta) or timeout <= timedelta(0):
            raise InvalidInput(f"timeout must be a timedelta above zero, not {timeout!r}")
        self.environment = environment
        self.tier = tier
        self.command = command
        self.generation = generation
        self._has_generation = generation is not None
        self.max_parallel = max_parallel
        self.members = members
        self.all_nodes = all_nodes
        self.prefix_per_node = prefix_per_node
        self.timeout = timeout
        self.consul_conn_id = consul_conn_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, int | str]:
        """Choose the nodes, and run the command on them, here or by deferring."""
        tiers = check_tiers(self.environment, self.tier)
        generations = read_generations(self.generation, tiers) if self._has_generation else {}
        nodes, index = asyncio.run(self._choose_nodes(tiers, generations))
        context["ti"].xcom_push(key=BEGINNING_KEY, value={"index": index, "try_number": context["ti"].try_number})
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
            lease={
                "environment": self.environment,
                "dag_id": context["ti"].dag_id,
                "run_id": context["ti"].run_id,
            },
        )
        if self.deferrable and not asyncio.run(trigger.attend(patience=PATIENCE)):
            self.defer(trigger=trigger, method_name="execute_complete", timeout=self.timeout + DEFERRAL_SLACK)
        elif not self.deferrable:
            asyncio.run(trigger.attend())
        return self._report(trigger.results)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, int | str]:  # noqa: ARG002 Airflow's call
        """Resume with the results that the trigger sent."""
        return self._report(read_results(event))

    async def _choose_nodes(self, tiers: Sequence[str], generations: Mapping[str, int]) -> tuple[list[str], int]:
        """The nodes to nudge, and Consul's index before that."""
        chosen: set[str] = set()
        indexes = []
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            for tier in tiers:
                where = f"{self.environment}/{tier}"
                members = await view.require_members(where, parse_members(self.members, tier))
                record = await view.read(self.environment, tier)
                desired = record.required_desired(where)
                members = {
                    node: member
                    for node, member in members.items()
                    if tier not in generations or desired.assignment_for(node).generation == generations[tier]
                }
                present = {node for node, member in members.items() if member.is_present}
                converged = {
                    node
                    for node in present
                    if judge(members[node], desired.assignment_for(node), record.evidence.get(node))[0]
                    is Standing.CONVERGED
                }
                chosen |= present if self.all_nodes else present - converged
                indexes.append(record.index)
                self.log.info(
                    "%s: of %s members %s absent, %s converged; nudging %s",
                    where,
                    len(members),
                    len(members) - len(present),
                    len(converged),
                    "all that are present" if self.all_nodes else "the rest",
                )
        return sorted(chosen), min(indexes)

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
