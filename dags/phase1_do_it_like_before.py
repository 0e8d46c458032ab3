"""
Phase 1 of the maturity model: stop services, copy files, start services, over SSH, as it was done before.

The tiers go down from the front and come up from the back. It works on a good day. What it cannot answer is why there
is a phase 2:

* **A node that was down** did not get the message to stop. It is left out, since Consul says that it is absent. When it
  comes back in the middle of the upgrade, it starts its old release, and nothing here will ever tell it otherwise.
* **A node that is added** when no upgrade runs never gets these commands. One that is added in the middle gets only
  those that are left: it is told to start what was never copied.
* **Configuration management leaks out** into this file: it stops a service that Chef is told to keep running, so the
  next Chef run undoes it, and what a node should look like is said in two places.

Exit codes are all that it has to go by: a step that fails on one node fails the Dag run, with the environment half
upgraded. Clear the failed step's tasks to try it again, on every node.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param, TaskGroup, chain, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_chefconsul import SSHChefOperator

PATH = r"^[\w./-]+$"  # it goes into a shell's command line

with DAG(
    dag_id="phase1_do_it_like_before",
    description="stop web, app and db → copy the release → start db, app and web",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    max_active_runs=1,
    params={
        "release": Param("2.5.0", type="string", pattern=PATH, description="The release to bring to all tiers"),
        "releases": Param(
            "/srv/releases", type="string", pattern=PATH, description="Directory of releases on the nodes"
        ),
        "services": Param("/srv", type="string", pattern=PATH, description="Directory of services on the nodes"),
    },
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5)},
    tags=["chefconsul", "example"],
) as dag:

    @task
    def check(results: dict[str, int | str]) -> None:
        """Fail unless the command exited with 0 everywhere."""
        failed = {node: result for node, result in results.items() if result != 0}
        if failed or not results:
            raise AirflowFailException(f"{len(failed)} of {len(results)} nodes did not exit with 0: {failed}")

    def step(action: str, tier: str, command: str) -> TaskGroup:
        """Run a command on every node of a tier that is present, and check the exit codes."""
        with TaskGroup(f"{action}_{tier}") as group:
            run = SSHChefOperator(
                task_id="run",
                environment="demo",
                tier=tier,
                command=command,
                all_nodes=True,
                timeout=timedelta(minutes=10),
                deferrable=True,
            )
            check(run.output)
        return group

    def service(action: str, tier: str) -> TaskGroup:
        """Stop or start a tier's service."""
        return step(action, tier, f"{{{{ params.services }}}}/{tier}/service {action}")

    def copy(tier: str) -> TaskGroup:
        """Replace a tier's files with those of the release."""
        source, target = "{{ params.releases }}/{{ params.release }}", f"{{{{ params.services }}}}/{tier}"
        return step("copy", tier, f"cp -R {source}/. {target}/")

    chain(
        service("stop", "web"),
        service("stop", "app"),
        service("stop", "db"),
        [copy("web"), copy("app"), copy("db")],
        service("start", "db"),
        service("start", "app"),
        service("start", "web"),
    )
