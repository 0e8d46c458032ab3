"""What a transaction begins with so that it fails when the environment's lease has changed hands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.lease import find_lease
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.exceptions import EnvironmentLeased, LeaseLost

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


async def fence_writes(view: SharedView, environment: str, dag_run: DagRun, *, tier_path: str) -> list[Operation]:
    """The operations that fail when a Dag run may no longer write, and renew the lease that it holds.

    While a lease stands, only the Dag run that holds it may write; while none stands, the operations check that none
    has appeared, and that this Dag run has not lost one.

    :param tier_path: what is to be written, for errors.
    :raises EnvironmentLeased: another Dag run holds the environment.
    :raises LeaseLost: the lease of this Dag run was taken over.
    """
    found = await find_lease(view, environment)
    if found is not None and found.lease.holder == dag_run:
        renewed = found.lease.renew(now=datetime.now(UTC))
        return [Operation.check_and_set(view.keys.lease(environment), renewed.to_json(), found.modify_index)]
    mark = view.keys.lost_lease(environment, dag_run.dag_id, dag_run.run_id)
    entry = await view.client.get(mark)
    if entry is not None:
        taker = Lease.from_json(mark, entry.value)
        why = f" ({taker.reason})" if taker.reason else ""
        raise LeaseLost(
            f"{tier_path}: {taker.holder} took the lease of environment {environment} from this Dag run "
            f"at {taker.acquired_at}{why}; to go on, clear its AcquireLeaseOperator and what follows"
        )
    if found is not None:
        raise EnvironmentLeased(
            f"{tier_path}: environment {environment} is {found.lease.describe()}; "
            f"an AcquireLeaseOperator waits for it, and takes over when nobody renews it"
        )
    return [Operation.check_absent(view.keys.lease(environment)), Operation.check_absent(mark)]


async def fence_free(view: SharedView, environment: str, *, tier_path: str) -> Operation:
    """The operation that fails when anybody holds the environment.

    :param tier_path: what is to be removed, for errors.
    :raises EnvironmentLeased: a Dag run does.
    """
    found = await find_lease(view, environment)
    if found is not None:
        held = found.lease.describe()
        raise EnvironmentLeased(f"{tier_path}: environment {environment} is {held}; wait for it, or break the lease")
    return Operation.check_absent(view.keys.lease(environment))
