"""A real Prometheus for every test that needs one, and a service whose metrics it reads."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from airflow_provider_chefconsul.testing.port import free_port
from airflow_provider_chefconsul.testing.processes import Processes
from demo import packages
from tests.support.peer import Answer, Peer

EXPOSITION = {"Content-Type": "text/plain; version=0.0.4"}
CONFIGURATION = """\
global:
  scrape_interval: 100ms
  scrape_timeout: 100ms
scrape_configs:
  - job_name: service
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Metrics:
    """The metrics of a service, as a test sets them, and the Prometheus that reads them ten times a second."""

    def __init__(self) -> None:
        self.port = free_port()
        self._series: dict[str, Callable[[], float]] = {}

    def set(self, series: str, value: float) -> None:
        """Give a series a value, and return when Prometheus has it."""
        self._series[series] = lambda: value
        self.wait_for(series, lambda found: found == value)

    def count(self, series: str, rate: float) -> None:
        """Let a series grow by a rate per second from now on, and return when Prometheus can tell that."""
        began = time.time()
        self._series[series] = lambda: (time.time() - began) * rate
        self.wait_for(f"rate({series}[1m])", lambda found: found > 0 or rate == 0)

    def wait_for(self, query: str, is_reached: Callable[[float], bool]) -> None:
        """Wait until a query has a value."""
        while not any(is_reached(value) for value in self.ask(query)):
            time.sleep(0.05)

    def ask(self, query: str) -> list[float]:
        """What a query yields now."""
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{urlencode({'query': query})}") as answer:
            return [float(each["value"][1]) for each in json.load(answer)["data"]["result"]]

    def exposition(self) -> str:
        """What the service answers to Prometheus: with its own times, or a late answer would end each series."""
        now = time.time_ns() // 1_000_000
        return "".join(f"{series} {value()} {now}\n" for series, value in dict(self._series).items())

    def connection(self, **changes: Any) -> str:
        """The fields of an Airflow connection to it, as JSON."""
        return json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": self.port, **changes})


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metrics]:
    """One Prometheus for all tests of this process; a missing one is a failure, never a skip."""
    program = packages.find("prometheus")
    assert program is not None, "no Prometheus found: apt-get install prometheus"
    directory = tmp_path_factory.mktemp("prometheus")
    metrics = Metrics()
    exposition = Peer(lambda _: Answer(body=metrics.exposition(), headers=EXPOSITION))
    with exposition, Processes() as processes:
        (directory / "prometheus.yml").write_text(CONFIGURATION.format(port=exposition.port))
        command = [
            str(program),
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{metrics.port}",
            "--log.level=warn",
        ]
        log = directory / "log"
        process = processes.start(command, log=log, environment=dict(os.environ))
        while not is_ready(metrics.port):
            assert process.exit_code is None, log.read_text()
            time.sleep(0.05)
        yield metrics


def is_ready(port: int) -> bool:
    """Whether a Prometheus answers there."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/-/ready") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def prometheus_connection(prometheus: Metrics, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """The Prometheus, which the default connection leads to."""
    monkeypatch.setenv("AIRFLOW_CONN_PROMETHEUS_DEFAULT", prometheus.connection())
    return prometheus


@pytest.fixture
def metric() -> str:
    """The name of a metric that no other test uses."""
    return f"metric_{uuid.uuid4().hex[:12]}"
