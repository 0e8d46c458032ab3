"""A transition in one task: declare a state, nudge the nodes that have not begun by themselves, and wait for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy, check_policy
from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.nudging import check_max_parallel, check_prefix_per_node
from airflow_provider_chefconsul.operators.transitioning import (
    NUDGE_AFTER,
    TransitioningOperator,
    check_command,
    check_nudge_after,
    parse_command,
)

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_chefconsul.domain.model.values import Scalar


class TransitionOperator(TransitioningOperator, SetDesiredStateOperator):
    """
    Moves tiers to a state: declares it, nudges the nodes that have not begun by themselves, and waits for all of them.

    Clear it after a failure, and it goes on where the nodes stand: the generation stays, only nodes that have not
    converged are nudged, and failures that were reported before are history. A worker or triggerer that is lost in the
    middle makes no second generation; the next try waits for the command where it still runs.

    A node that does not answer the nudge, or whose command fails, is only a warning in the log; the nodes' reports
    decide. The log says which of the three it is doing: ``declare:``, ``nudge:`` or ``wait:``.

    Returns ``{tier: generation}``, also to the tasks after it when it fails.

    Parameters are those of ``SetDesiredStateOperator``, but for ``wait``; and:

    :param policy: when the tiers count as converged; see :class:`ConvergencePolicy`.
    :param command: what to run on the nodes, a shell command line (templated); never put a secret into it. None nudges
        nobody, for nodes whose agents watch the key.
    :param nudge_after: how long nodes have to begin by themselves before they are nudged.
    :param max_parallel: how many nodes may run the command at the same time; None is all. More than there are
        ``slots`` only makes the others wait on the nodes.
    :param prefix_per_node: as in ``ConsulExecChefOperator``.
    """

    template_fields: Sequence[str] = (*SetDesiredStateOperator.template_fields, "command")
    template_fields_renderers = {**SetDesiredStateOperator.template_fields_renderers, "command": "bash"}  # noqa: RUF012
    ui_color = "#dcefe3"
    log_prefix = "declare: "

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        state: str,
        values: Mapping[str, Scalar] | XComArg | None = None,
        canary: int | str | Sequence[str] | None = None,
        spread: str | None = None,
        slots: int | str | None = None,
        per: str | None = None,
        spread_over: timedelta | None = None,
        allowed_from: Sequence[str | None] | None = None,
        sequence: int | str | None = None,
        on_stale: str = "fail",
        on_frozen: str = "wait",
        wave: tuple[int, int] | None = None,
        window: ChangeWindow | None = None,
        force: bool = False,
        policy: ConvergencePolicy | None = None,
        members: str | Sequence[str] = "service",
        command: str | None = "chef-client",
        nudge_after: timedelta = NUDGE_AFTER,
        max_parallel: int | None = None,
        prefix_per_node: str | None = None,
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        policy = ConvergencePolicy() if policy is None else check_policy("policy", policy)
        super().__init__(
            environment=environment,
            tier=tier,
            state=state,
            values=values,
            canary=canary,
            spread=spread,
            slots=slots,
            per=per,
            spread_over=spread_over,
            allowed_from=allowed_from,
            sequence=sequence,
            on_stale=on_stale,
            on_frozen=on_frozen,
            wave=wave,
            window=window,
            wait=policy,
            members=members,
            force=force,
            consul_conn_id=consul_conn_id,
            deferrable=deferrable,
            **kwargs,
        )
        check_command(command)
        self.command = command
        self.nudge_after = check_nudge_after(nudge_after)
        self.max_parallel = check_max_parallel(max_parallel)
        self.prefix_per_node = check_prefix_per_node(prefix_per_node)

    @property
    def policy(self) -> ConvergencePolicy:
        """When the tiers count as converged: what the base class waits for."""
        assert self.wait is not None  # it is always given
        return self.wait

    @policy.setter
    def policy(self, policy: ConvergencePolicy) -> None:
        self.wait = policy

    def execute(self, context: Context) -> dict[str, int]:
        """Declare, nudge and wait."""
        self.command = parse_command(self.command)
        return super().execute(context)
