"""A Dag that writes under a lease, and a process that runs it: `python -m tests.dags.leasing PORT PREFIX`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.support import airflow_home  # before Airflow: it reads its environment when it is imported


def build(dag_id: str, *, release: str, pause: Callable[[], Any] = lambda: None) -> Any:
    """A Dag that holds the environment, writes, does something, writes again, and gives the environment up.

    :param pause: what to do between the two writes.
    """
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG, chain

    from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
    from airflow_provider_chefconsul.operators.lease import AcquireLeaseOperator, ReleaseLeaseOperator

    with DAG(dag_id, schedule=None) as dag:
        acquire = AcquireLeaseOperator(
            task_id="acquire",
            environment="demo",
            reason=f"bring it to {release}",
            timeout=timedelta(minutes=5),
            deferrable=True,
        )
        first, second = (
            SetDesiredStateOperator(
                task_id=name, environment="demo", tier="web", state=state, values={"release": release}, allow_empty=True
            )
            for name, state in (("first", "waiting"), ("second", "converged"))
        )
        between = PythonOperator(task_id="between", python_callable=pause)
        release_lease = ReleaseLeaseOperator(task_id="release_lease", environment="demo")
        chain(acquire.as_setup(), first, between, second, release_lease.as_teardown(setups=acquire))
    return dag


def main(port: int, prefix: str) -> None:
    """Run the Dag in an Airflow of this process's own, and print the states of its tasks last."""
    fields = {"conn_type": "consul", "host": "127.0.0.1", "port": port, "extra": {"prefix": prefix}}
    os.environ["AIRFLOW_CONN_CONSUL_DEFAULT"] = json.dumps(fields)
    airflow_home.make_database()
    sys.stdout.write(json.dumps(airflow_home.run_once(build("other_rollout", release="2.6.0"))))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
