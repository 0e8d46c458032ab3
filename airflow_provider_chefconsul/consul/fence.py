"""Operations that make a transaction fail when the environment's lease has changed hands, or a tier was frozen."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.freeze import find_freeze
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.lease import find_lease
from airflow_provider_chefconsul.domain.model.freeze import Freeze
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.exceptions import EnvironmentLeased, LeaseLost

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


async def fence_writes(
    view: SharedView, environment: str, dag_run: DagRun, *, tier_path: str, steered: Collection[DagRun] = ()
) -> list[Operation]:
    """Operations that fail once a Dag run may no longer write, and that renew its lease.

    While there is a lease, only its holder may write. Otherwise they check that there is still none, and that this Dag
    run has not lost one.

    :param tier_path: what to write, for errors.
    :param steered: the Dag runs whose rollouts the write steers; it may be made while one of them holds the lease.
    :raises EnvironmentLeased: another Dag run holds the environment.
    :raises LeaseLost: the lease of this Dag run was taken over.
    """
    found = await find_lease(view, environment)
    if found is not None and found.lease.holder in steered:
        return [Operation.check_index(view.keys.lease(environment), found.modify_index)]
    if found is not None and found.lease.holder == dag_run:
        renewed = found.lease.renew(now=datetime.now(UTC))
        return [Operation.check_and_set(view.keys.lease(environment), renewed.to_json(), found.modify_index)]
    mark = view.keys.lost_lease(environment, dag_run.dag_id, dag_run.run_id)
    entry = await view.client.get(mark)
    if entry is not None:
        taker = Lease.from_json(mark, entry.value)
        why = f" ({taker.reason})" if taker.reason else ""
        raise LeaseLost(
            f"{tier_path}: {taker.holder} took the lease of environment {environment} away from this Dag run "
            f"at {taker.acquired_at}{why}; to continue, clear its AcquireLeaseOperator with Downstream"
        )
    if found is not None:
        raise EnvironmentLeased(
            f"{tier_path}: environment {environment} is {found.lease.describe()}; "
            f"use an AcquireLeaseOperator, which waits for the lease and takes it over when it expires"
        )
    return [Operation.check_absent(view.keys.lease(environment)), Operation.check_absent(mark)]


async def fence_freeze(view: SharedView, environment: str) -> tuple[Freeze, Operation]:
    """The environment's freeze, and the operation that fails once it has changed.

    :raises MalformedDocument: its key holds something other than a freeze.
    """
    found = await find_freeze(view, environment)
    return found.freeze, Operation.check_index(view.keys.freeze(environment), found.modify_index)


async def fence_free(view: SharedView, environment: str, *, tier_path: str) -> Operation:
    """The operation that fails when a Dag run holds the environment.

    :param tier_path: what to remove, for errors.
    :raises EnvironmentLeased: a Dag run holds it.
    """
    found = await find_lease(view, environment)
    if found is not None:
        held = found.lease.describe()
        raise EnvironmentLeased(f"{tier_path}: environment {environment} is {held}; wait for it, or break the lease")
    return Operation.check_absent(view.keys.lease(environment))
