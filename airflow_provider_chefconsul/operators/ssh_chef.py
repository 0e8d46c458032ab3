"""Nudging nodes over SSH, for fleets without Consul's remote execution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.hooks.ssh import DEFAULT_SSH_CONNECTION
from airflow_provider_chefconsul.operators.nudging import NudgeOperator
from airflow_provider_chefconsul.triggers.converged import PATIENCE
from airflow_provider_chefconsul.triggers.ssh_chef import SSHChefTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg


class SSHChefOperator(NudgeOperator):
    """
    Runs chef-client on a tier's nodes over SSH, at the addresses that Consul has for them.

    It is a nudge as ``ConsulExecChefOperator`` is one: same choice of nodes, same result, and a node that cannot be
    reached, or whose command fails, is a warning that stops no other node; a ``ConvergedSensor`` judges.

    User, port, keys and known hosts are those of the SSH connection; its host is not used. Host keys are checked
    against the connection's ``known_hosts`` or ``host_key``, or ``~/.ssh/known_hosts``; only an explicit
    ``"no_host_key_check": true`` in its extra turns that off. Where the user is not root, say ``sudo chef-client``.

    Running it again is harmless. A triggerer that restarts connects again with the same job: nodes that ran the command
    give its exit code without running it again, those that still run it are waited for. A guard on the node sees to
    that, which needs ``flock`` there and remembers for a day, or until a reboot. A retry of the task is a new job, for
    the nodes that have not converged by then; should chef-client still run on one, its own run lock makes the new one
    wait.

    Returns by node the exit code, or ``"unacknowledged"`` (nothing was run; the log says why) or ``"silent"`` (the
    command had not ended by the deadline, or the connection broke; it may run on). Consul's index before the nudge
    goes into the XCom ``beginning``.

    :param environment: the tier's environment (templated).
    :param tier: one tier, or several (templated).
    :param command: a shell command line (templated); never put a secret into it.
    :param generation: nudge only members that are assigned this generation, a number or the mapping that a
        ``SetDesiredStateOperator`` returns; None is all members, whatever they are assigned (templated).
    :param max_parallel: how many nodes may be connected at the same time; None is all. An sshd, above all a bastion's,
        refuses connections beyond its ``MaxStartups``.
    :param members: who belongs to the tier; see ``ConvergedSensor`` (templated).
    :param all_nodes: nudge members that have converged, too; without a generation, a tier without a desired state also.
    :param timeout: when to come back with the results there are.
    :param ssh_conn_id: id of a connection of type ``ssh`` (templated).
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    template_fields: Sequence[str] = (*NudgeOperator.template_fields, "ssh_conn_id")
    unanswered = "is its sshd running?"

    def __init__(
        self,
        *,
        environment: str,
        tier: str | Sequence[str],
        command: str = "chef-client",
        generation: int | str | Mapping[str, int] | XComArg | None = None,
        max_parallel: int | None = 10,
        members: str | Sequence[str] = "service",
        all_nodes: bool = False,
        timeout: timedelta = timedelta(minutes=30),
        ssh_conn_id: str = DEFAULT_SSH_CONNECTION,
        consul_conn_id: str = ConsulHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            environment=environment,
            tier=tier,
            command=command,
            generation=generation,
            max_parallel=max_parallel,
            members=members,
            all_nodes=all_nodes,
            timeout=timeout,
            consul_conn_id=consul_conn_id,
            deferrable=deferrable,
            **kwargs,
        )
        self.ssh_conn_id = ssh_conn_id

    def execute(self, context: Context) -> dict[str, int | str]:
        """Choose the nodes, and run the command on them, here or by deferring."""
        nodes = self._choose(context)
        if not nodes:
            return {}
        trigger = SSHChefTrigger(ssh_conn_id=self.ssh_conn_id, **self._job(context, nodes))
        return self._run(trigger, patience=PATIENCE)
