"""What the operators that run chef-client on nodes share: which nodes they choose, and what they report of each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_provider_chefconsul.domain.model.membership import Members, parse_members
from airflow_provider_chefconsul.domain.model.name import check_tiers
from airflow_provider_chefconsul.domain.parameter import (
    check_generation,
    check_members,
    check_switch,
    check_tier_path,
    parse_generations,
)
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.links import LINKS
from airflow_provider_chefconsul.triggers.stoppable import Stoppable
from airflow_provider_chefconsul.triggers.writer import holder_of

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.triggers.nudge import NudgeTrigger, Results
    from airflow_provider_chefconsul.triggers.waiting import WaitingTrigger


class NudgeOperator(Stoppable):
    """Runs a command on the members of tiers that have not converged; a subclass says how it gets there."""

    template_fields: Sequence[str] = ("environment", "tier", "command", "generation", "members", "consul_conn_id")
    template_fields_renderers = {"command": "bash"}  # noqa: RUF012 Airflow's declaration
    operator_extra_links = LINKS
    ui_color = "#f5ecd8"
    unanswered = ""  # what to check when a node does not answer, for the log

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        command: str,
        generation: int | str | Mapping[str, int] | XComArg | None,
        max_parallel: int | None,
        members: str | Sequence[str],
        all_nodes: bool,
        timeout: timedelta,
        consul_conn_id: str,
        deferrable: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(timeout, timedelta) or timeout <= timedelta(0):
            raise InvalidInput(f"timeout must be a timedelta above zero, not {timeout!r}")
        check_tier_path(environment, tier)
        check_members(members)
        check_generation(generation)
        self.environment = environment
        self.tier = tier
        self.command = command
        self.generation = generation
        self._has_generation = generation is not None
        self.max_parallel = check_max_parallel(max_parallel)
        self.members = members
        self.all_nodes = check_switch("all_nodes", all_nodes)
        self.timeout = timeout
        self.consul_conn_id = consul_conn_id
        self.deferrable = check_switch("deferrable", deferrable)

    def execute(self, context: Context) -> dict[str, int | str]:
        """Choose the nodes, and run the command on them, here or by deferring."""
        tiers = check_tiers(self.environment, self.tier)
        generations = parse_generations(self.generation, tiers) if self._has_generation else {}
        return self._report(self.run_or_defer(self._nudge(context, tiers, generations)))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, int | str]:  # noqa: ARG002 Airflow's call
        """Resume with the results that the trigger sent."""
        from airflow_provider_chefconsul.triggers.nudge import read_results, read_seconds

        self._measure(read_seconds(event))
        return self._report(read_results(event))

    @abstractmethod
    def _make_trigger(self, **job: Any) -> NudgeTrigger:
        """The trigger that gets a job to the nodes; see :class:`NudgeTrigger` for the parameters."""

    async def _nudge(
        self, context: Context, tiers: Sequence[str], generations: Mapping[str, int]
    ) -> Results | WaitingTrigger[Results]:
        """Run the command; Consul's index before that goes into an XCom."""
        from airflow_provider_chefconsul.triggers.nudge import BEGINNING_KEY

        instance = context["ti"]
        async with ConsulHook(self.consul_conn_id).open_view() as view:
            chosen = [await self._choose_of_tier(view, tier, generations.get(tier)) for tier in tiers]
            nodes = sorted(set().union(*(nodes for nodes, _ in chosen)))
            index = min(index for _, index in chosen)
            instance.xcom_push(key=BEGINNING_KEY, value={"index": index, "try_number": instance.try_number})
            if not nodes:
                return {}
            trigger = self._make_trigger(
                consul_conn_id=self.consul_conn_id,
                environment=self.environment,
                holder=holder_of(context),
                command=self.command,
                nodes=nodes,
                job_id=uuid4().hex,
                deadline=(datetime.now(UTC) + self.timeout).isoformat(),
                max_parallel=self.max_parallel,
                begun=datetime.now(UTC).isoformat(),
            )
            ended = await self.wait_here(trigger, view)
        self._measure(trigger.seconds)
        return ended

    def _measure(self, seconds: float | None) -> None:
        if seconds is not None:
            from airflow_provider_chefconsul.triggers.metrics import measure_nudge

            measure_nudge(self.environment, seconds)

    async def _choose_of_tier(self, view: SharedView, tier: str, generation: int | None) -> tuple[set[str], int]:
        from airflow_provider_chefconsul.domain.verdict.superseded import describe_superseded
        from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status

        tier_path = f"{self.environment}/{tier}"
        selector = parse_members(self.members, tier)
        await view.require_members(tier_path, selector)
        record = await view.read(self.environment, tier)
        # As in a wait, a node that is alive and has reported stays a member, though its service may be gone.
        snapshot = await view.snapshot(self.environment, tier, selector)
        members: Members = snapshot.members
        converged: set[str] = set()
        if not self.all_nodes or generation is not None:  # else it does not matter what is desired
            desired = record.required_desired(tier_path)
            judged = tier_status(replace(snapshot, desired=desired)).nodes  # all by one desired state
            nodes = {name: node for name, node in judged.items() if generation is None or node.is_assigned(generation)}
            members = {name: node.member for name, node in nodes.items()}
            converged = {name for name, node in nodes.items() if node.has_converged}
            if generation is not None and not members:
                is_gone = generation not in desired.generations
                why = (
                    describe_superseded(desired, generation)
                    if is_gone
                    else f"generation {generation} is assigned to no member"
                )
                self.log.warning("%s: %s; there is nobody to nudge", tier_path, why)
                return set(), record.index
        present = {node for node, member in members.items() if member.is_present}
        self.log.info(
            "%s: of %s members %s absent, %s; nudging %s",
            tier_path,
            len(members),
            len(members) - len(present),
            "converged or not" if self.all_nodes else f"{len(converged)} converged",
            "all that are present" if self.all_nodes else "the rest",
        )
        return (present if self.all_nodes else present - converged), record.index

    def _report(self, results: Results) -> dict[str, int | str]:
        from airflow_provider_chefconsul.nudge.result import describe_trouble

        for result in results.values():
            if trouble := describe_trouble(result, self.command, unanswered=self.unanswered):
                self.log.warning("%s", trouble)
        return {node: str(each.outcome) if each.exit_code is None else each.exit_code for node, each in results.items()}


def check_max_parallel(max_parallel: object) -> int | None:
    """Return ``max_parallel`` if it is a number of nodes, or None for all.

    :raises InvalidInput: it is neither.
    """
    if max_parallel is None or (type(max_parallel) is int and max_parallel >= 1):
        return max_parallel
    raise InvalidInput(f"max_parallel must be a number of nodes from 1, or None, not {max_parallel!r}")


def check_prefix_per_node(prefix_per_node: object) -> str | None:
    """Return ``prefix_per_node`` if it is text or None.

    :raises InvalidInput: it is neither.
    """
    if prefix_per_node is None or isinstance(prefix_per_node, str):
        return prefix_per_node
    raise InvalidInput(f"prefix_per_node must be text or None, not {prefix_per_node!r}")
