"""An Airflow that runs only while it is measured, so that several with different settings can take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from demo.standalone import AirflowStandalone

_PATIENCE = 600.0  # seconds for a Dag run
# On a busy machine the first request of a task takes longer than the 5 s after which it would fail.
_PATIENT = {"AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60"}


class DagRunError(Exception):
    """A Dag run failed, or did not end."""


@dataclass(frozen=True, slots=True)
class PausedAirflow:
    """Stopped, process by process, but for the time of a Dag run."""

    airflow: AirflowStandalone

    def time(self, dag_id: str, release: str) -> float:
        """Run a Dag, and give the seconds from its start to its end as Airflow's database has them.

        :raises DagRunError: it did not succeed.
        """
        with self._awake():
            run = self.airflow.trigger(dag_id, {"release": release})
            give_up = time.monotonic() + _PATIENCE
            while (state := self.airflow.run_state(dag_id, run)) != "success":
                if state == "failed" or time.monotonic() > give_up:
                    raise DagRunError(f"Dag {dag_id} is {state}:\n{self.airflow.log_tail()}")
                time.sleep(0.5)
            return float(self.airflow.request("GET", f"/dags/{dag_id}/dagRuns/{run}")["duration"])

    def pause(self) -> None:
        """Stop its processes where they are."""
        self._each(psutil.Process.suspend)

    def resume(self) -> None:
        """Let its processes go on."""
        self._each(psutil.Process.resume)

    @contextmanager
    def _awake(self) -> Iterator[None]:
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def _each(self, act: Callable[[psutil.Process], None]) -> None:
        for process in self.airflow.processes():
            with suppress(psutil.NoSuchProcess):
                act(process)


@contextmanager
def paused_airflow(directory: Path, dags: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[PausedAirflow]:
    """Start an Airflow, wait until it has the Dags, and pause it.

    :param dags: the text of each Dag's file.
    """
    folder = directory / "dags"
    folder.mkdir(parents=True)
    for dag_id, text in dags.items():
        (folder / f"{dag_id}.py").write_text(text)
    airflow = AirflowStandalone(directory / "airflow", folder)
    airflow.environment.update({**_PATIENT, **environment})
    with airflow:
        for dag_id in dags:
            airflow.wait_until_ready(dag_id)
        paused = PausedAirflow(airflow)
        paused.pause()
        try:
            yield paused
        finally:
            paused.resume()  # it ends in order only when it runs
