"""A separate Airflow for a test session: the author's Airflow, database and connections are never touched."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.testing.dag_worker import DagWorker

_LOG_LINES = 40


class DagNotRun(ChefConsulError):
    """A Dag under test could not be run to its end."""


@dataclass(frozen=True, slots=True)
class DagRunResult:
    """How a run of a Dag ended.

    :param state: ``success`` or ``failed``.
    :param tasks: the state of each task by its id; of a mapped one, by ``id[0]``, ``id[1]``, …
    :param log: what the run printed, the logs of its tasks included.
    """

    state: str
    tasks: Mapping[str, str]
    log: str = field(repr=False)


class AirflowHome:
    """Runs Dags in a separate process with a separate Airflow home.

    :param directory: that home.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = directory / "run.log"
        self._worker: DagWorker | None = None

    def run(
        self,
        dag_file: Path,
        *,
        settings: ConsulSettings,
        consul_conn_id: str,
        dag_id: str | None,
        conf: Mapping[str, Any],
        logical_date: datetime | None,
        mark_success: str | None,
        env: Mapping[str, str],
        timeout: timedelta,
    ) -> DagRunResult:
        """Run a Dag to its end, with its triggers.

        :raises DagNotRun: the file or the Dag in it does not exist, or the run did not end in time.
        """
        if not dag_file.exists():
            raise DagNotRun(f"{dag_file}: no such file; the current directory is {Path.cwd()}")
        environment = self._environment() | {
            f"AIRFLOW_CONN_{consul_conn_id.upper()}": _connection(settings),
            "CONSUL_HTTP_ADDR": settings.url,  # also for tasks that use Consul directly
        }
        question = {
            "dag_file": str(dag_file.resolve()),
            "dag_id": dag_id,
            "conf": dict(conf),
            "logical_date": logical_date and logical_date.isoformat(),
            "mark_success": mark_success,
            "environment": environment | dict(env),
            "path": sys.path,  # the Dag can import what tests can
            "log": str(self._log),
        }
        if self._worker is None:
            self._worker = DagWorker(environment | dict(env), self._log)
        try:
            found = self._worker.ask(question, timeout)
        except TimeoutError as error:
            raise self._broken(f"{dag_file} did not end within {timeout}") from error
        except EOFError as error:
            raise self._broken(f"{dag_file} ended the process that ran it") from error
        if "problem" in found:
            raise DagNotRun(found["problem"])
        return DagRunResult(found["state"], found["tasks"], self._log.read_text(errors="replace"))

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _broken(self, what: str) -> DagNotRun:
        """The error of a process that is of no more use; the next run starts a new one."""
        self.close()
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return DagNotRun(f"{what}; its log ends:\n{tail}")

    def _environment(self) -> dict[str, str]:
        """This process's environment without the variables of Airflow and Consul, above all without connections."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW", "CONSUL_"))}
        dags = self._directory / "dags"  # empty: the Dag comes from the author's file
        dags.mkdir(exist_ok=True)
        return kept | {
            "AIRFLOW_HOME": str(self._directory),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }


def _connection(settings: ConsulSettings) -> str:
    fields = {"conn_type": "consul", "host": settings.host, "port": settings.port, "extra": {"prefix": settings.root}}
    return json.dumps(fields)
