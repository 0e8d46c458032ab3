"""`airflow standalone` on free loopback ports, and the few calls to its API that the demo needs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

from airflow_provider_chefconsul.testing.port import free_port
from demo.patient import NoAnswerError, PatientClient

_START_TIMEOUT = 600.0  # seconds; 20 on an idle machine, and one that ends is noticed at once
_STOP_TIMEOUT = 20.0
_SAY_EVERY = 30.0
_TAIL = 20  # lines


class AirflowError(Exception):
    """Airflow did not start, did not answer, or refused a request; the message ends with what it said."""


class AirflowStandalone:
    """An Airflow of its own below ``home``; a context manager that stops what it started.

    :param home: an empty or missing directory for Airflow's database, logs and password.
    :param dags: the directory of Dag files.
    :param users: the role of each user: ``admin``, ``op``, ``user`` or ``viewer``; there is an ``admin``.
    :param path: where Airflow is below its address, such as ``/airflow``; at the root by default.
    :param say: called with a line for the user while Airflow keeps us waiting.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        users: Mapping[str, str] | None = None,
        path: str = "",
        say: Callable[[str], object] = print,
    ) -> None:
        self.home = home
        self.log = home / "standalone.log"
        self._users = {"admin": "admin", **(users or {})}
        self._path = path
        self._ports = free_port(), free_port(), free_port()
        self._environment = self._make_environment(dags)
        self._process: subprocess.Popen[bytes] | None = None
        self._say = say
        self._http = PatientClient(self.url, say=say)

    @property
    def url(self) -> str:
        """The address of the UI and the API."""
        return f"http://127.0.0.1:{self._ports[0]}{self._path}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables under which its components run."""
        return self._environment

    @property
    def password(self) -> str:
        """The password of the user ``admin``, which Airflow generates."""
        return self.password_of("admin")

    def password_of(self, user: str) -> str:
        """The password of a user.

        :raises AirflowError: Airflow has not made it.
        """
        file = self.home / "simple_auth_manager_passwords.json.generated"
        try:
            return str(json.loads(file.read_text())[user])
        except (OSError, ValueError, KeyError) as error:
            raise AirflowError(f"no password of {user} in {file}: {error}") from error

    def __enter__(self) -> Self:
        """Start; returns before Airflow is ready."""
        self.home.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.log, os.O_WRONLY | os.O_CREAT, 0o600))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).parent / "airflow", "standalone"],
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the demo, which then stops Airflow in order
                umask=0o077,  # of the passwords and keys that it writes, too, which are then nobody else's
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all components, by the process id of the one that was started."""
        self._http.close()
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT)
        _kill_session(process.pid)
        process.wait()

    def wait_until_ready(self, dag_id: str) -> None:
        """Wait until all components are healthy and the Dag is parsed, and log in.

        :raises AirflowError: it stopped, or took too long.
        """
        begun = said = time.monotonic()
        while not (self._is_healthy() and self._has_dag(dag_id)):
            if self._process is None or self._process.poll() is not None:
                raise AirflowError(f"Airflow stopped while it was starting; the end of {self.log}:\n{self.log_tail()}")
            now = time.monotonic()
            if now - begun > _START_TIMEOUT:
                raise AirflowError(
                    f"Airflow was not ready in {_START_TIMEOUT:.0f} s; see {self.log}:\n{self.log_tail()}"
                )
            if now - said > _SAY_EVERY:
                self._say(f"… Airflow has not been ready for {now - begun:.0f} s, is the machine busy? Still waiting")
                said = now
            time.sleep(0.3)

    def add_connection(self, connection_id: str, **fields: Any) -> None:
        """Create a connection, so that the UI shows it."""
        self._make("/connections", {"connection_id": connection_id, **fields})

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Unpause and trigger a Dag, and return the run's id."""
        self.request("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        run_id = f"demo__{uuid.uuid4().hex[:12]}"
        self._make(f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "conf": conf, "logical_date": None})
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """The state of a Dag run: ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The state of each task instance of a run."""
        found = self.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return {each["task_id"]: each["state"] or "" for each in found["task_instances"]}

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call of the API; made again while Airflow is too busy to answer, unless it is a POST.

        :raises AirflowError: with Airflow's message.
        """
        self._sign_in()
        return self._read(f"{method} {path}", lambda: self._http.request(method, f"/api/v2{path}", body))

    def token_of(self, user: str) -> str:
        """A token with which a user may call the API, in the header ``Authorization`` or the cookie ``_token``.

        :raises AirflowError: with Airflow's message.
        """
        credentials = {"username": user, "password": self.password_of(user)}
        answer = self._read("the token", lambda: self._http.make("/auth/token", credentials))
        return str(answer["access_token"])

    def _make(self, path: str, body: dict[str, Any]) -> None:
        self._sign_in()
        self._read(f"POST {path}", lambda: self._http.make(f"/api/v2{path}", body))

    def _sign_in(self) -> None:
        if "Authorization" not in self._http.headers:
            self._http.headers["Authorization"] = f"Bearer {self.token_of('admin')}"

    def _read(self, what: str, ask: Callable[[], httpx.Response | None]) -> dict[str, Any]:
        try:
            response = ask()
            if response is None or not (response.content or response.is_error):
                return {}
            if response.is_error:
                raise AirflowError(f"{what}: {response.status_code} {response.text}")
            answer: dict[str, Any] = response.json()
        except (NoAnswerError, ValueError) as error:
            raise AirflowError(f"{error}; see {self.log}") from error
        return answer

    def find_component(self, name: str) -> psutil.Process:
        """The process of a component that it started, such as ``triggerer``.

        :raises AirflowError: there is none.
        """
        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._process.pid).children():
                with suppress(psutil.Error):
                    if name in process.cmdline()[1:] or f"airflow {name}" in " ".join(process.cmdline()):
                        return process
        raise AirflowError(f"there is no {name}; see {self.log}:\n{self.log_tail()}")

    def processes(self) -> list[psutil.Process]:
        """All processes of it: components, and workers, which lead process groups of their own."""
        return [] if self._process is None else _processes_of(self._process.pid)

    def log_tail(self) -> str:
        """The last lines of what its components printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL:])

    def _is_healthy(self) -> bool:
        response = self._http.ask_once("/api/v2/monitor/health")
        if response is None or response.is_error:
            return False
        health = response.json()
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def _has_dag(self, dag_id: str) -> bool:
        try:
            self.request("GET", f"/dags/{dag_id}")
        except AirflowError:
            return False
        return True

    def _make_environment(self, dags: Path) -> dict[str, str]:
        api, worker_logs, trigger_logs = self._ports
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # standalone starts `airflow`
            "NO_COLOR": "1",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                f"{user}:{role}" for user, role in self._users.items()
            ),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(api),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            # A chain of short tasks takes 0.25 s each instead of 1 s with these two.
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        }


def _kill_session(session: int) -> None:
    """Kill what outlived its parent."""
    for process in _processes_of(session):
        with suppress(psutil.Error):
            process.kill()


def _processes_of(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) == session:
                found.append(process)
    return found
