"""Nudging nodes to run chef-client now: by Consul's remote execution, or over SSH for fleets without that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.hooks.ssh import DEFAULT_SSH_CONNECTION
from airflow_provider_chefconsul.nudge.result import CHECK_REMOTE_EXEC
from airflow_provider_chefconsul.operators.nudging import NudgeOperator, check_prefix_per_node

if TYPE_CHECKING:
    from airflow.sdk import XComArg

    from airflow_provider_chefconsul.triggers.remote_exec import RemoteExecTrigger
    from airflow_provider_chefconsul.triggers.ssh_chef import SSHChefTrigger


class ConsulExecChefOperator(NudgeOperator):
    """
    Runs chef-client on a tier's nodes by Consul's remote execution, as ``consul exec`` does.

    It is a nudge that saves time: nodes act on the desired state that they read, whether or not a nudge reaches them.
    So a node that does not answer, or whose command fails, is only a warning; the ``ConvergedSensor`` judges. Only
    members that are present and have not converged are nudged, so a retry touches only the rest.

    Nodes need ``disable_remote_exec = false`` in their agents' configuration.

    Returns by node the exit code, ``"unacknowledged"`` (no answer) or ``"silent"`` (it began, and has not said how it
    ended). Consul's index before the nudge goes into the XCom ``beginning``.

    :param environment: the tier's environment (templated).
    :param tier: one tier, or several (templated).
    :param command: a shell command line (templated); never put a secret into it.
    :param generation: nudge only members that are assigned this generation, a number or the mapping that a
        ``SetDesiredStateOperator`` returns; None is every member, whatever it is assigned (templated).
    :param max_parallel: how many nodes may run at the same time; None is all.
    :param members: who belongs to the tier; see ``ConvergedSensor`` (templated).
    :param all_nodes: also nudge members that have converged and, when no generation is given, tiers that have no
        desired state.
    :param prefix_per_node: where ACLs confine each node to keys below its own name: what comes before that name, such
        as ``rexec-node``.
    :param timeout: how long to wait; then the task ends with the results that there are.
    :param consul_conn_id: id of a connection of type ``consul`` (templated).
    :param deferrable: whether to wait in the triggerer; the first seconds are spent in the worker all the same.
    """

    unanswered = CHECK_REMOTE_EXEC

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
        self.prefix_per_node = check_prefix_per_node(prefix_per_node)

    def _make_trigger(self, **job: Any) -> RemoteExecTrigger:
        from airflow_provider_chefconsul.triggers.remote_exec import RemoteExecTrigger

        return RemoteExecTrigger(prefix_per_node=self.prefix_per_node, **job)


class SSHChefOperator(NudgeOperator):
    """
    Runs chef-client on a tier's nodes over SSH, at the addresses that Consul has for them.

    It is a nudge like ``ConsulExecChefOperator``: it chooses the same nodes and returns the same. A node that cannot be
    reached, or whose command fails, is a warning that stops no other node; the ``ConvergedSensor`` judges.

    User, port, keys and known hosts are those of the SSH connection; its host is not used. Host keys are checked
    against the connection's ``known_hosts`` or ``host_key``, or ``~/.ssh/known_hosts``; only an explicit
    ``"no_host_key_check": true`` in its extra turns that off. Where the user is not root, say ``sudo chef-client``.

    Running it again is harmless. A triggerer that restarts connects again with the same job: nodes that ran the command
    give its exit code without running it again, and those that still run it are waited for. A guard on the node sees to
    that; it needs ``flock`` there, and remembers a job for a day or until a reboot. A retry of the task is a new job,
    for the nodes that have not converged by then; where chef-client still runs, its run lock makes the new one wait.

    Returns by node the exit code, ``"unacknowledged"`` (nothing was run; the log says why) or ``"silent"`` (the command
    had not ended by the deadline, or the connection broke; it may run on). Consul's index before the nudge goes into
    the XCom ``beginning``.

    :param environment: the tier's environment (templated).
    :param tier: one tier, or several (templated).
    :param command: a shell command line (templated); never put a secret into it.
    :param generation: nudge only members that are assigned this generation, a number or the mapping that a
        ``SetDesiredStateOperator`` returns; None is every member, whatever it is assigned (templated).
    :param max_parallel: how many nodes may be connected at the same time; None is all. An sshd, such as a bastion's,
        refuses connections beyond its ``MaxStartups``.
    :param members: who belongs to the tier; see ``ConvergedSensor`` (templated).
    :param all_nodes: also nudge members that have converged and, when no generation is given, tiers that have no
        desired state.
    :param timeout: how long to wait; then the task ends with the results that there are.
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

    def _make_trigger(self, **job: Any) -> SSHChefTrigger:
        from airflow_provider_chefconsul.triggers.ssh_chef import SSHChefTrigger

        return SSHChefTrigger(ssh_conn_id=self.ssh_conn_id, **job)
