"""Fleets under test on the shared Consul, and pytest runs of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.testing.airflow_home import AirflowHome
from airflow_provider_chefconsul.testing.fleet import FleetUnderTest

StartFleet = Callable[..., FleetUnderTest]
RunPytest = Callable[..., str]


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    """One home for all Dags that the tests of a file run."""
    home = AirflowHome(tmp_path_factory.mktemp("airflow"))
    yield home
    home.close()


@pytest.fixture
def start_fleet(cluster: Any, consul_root: str, airflow_home: AirflowHome) -> Iterator[StartFleet]:
    """What the plugin's fixture gives, on the shared Consul."""
    with ExitStack() as stack:

        def start(*, airflow: AirflowHome = airflow_home, **options: Any) -> FleetUnderTest:
            settings = ConsulSettings("127.0.0.1", cluster.http_port, root=consul_root)
            return stack.enter_context(FleetUnderTest(settings, airflow, **{"seconds": 0} | options))

        yield start


@pytest.fixture
def run_pytest(consul_binary: Path, tmp_path: Path) -> RunPytest:
    """Run pytest as an author does, in a directory of its own; returns what it printed."""

    def run(directory: Path, *arguments: str, consul: str = str(consul_binary), **variables: str) -> str:
        environment = {name: text for name, text in os.environ.items() if not re.match("AIRFLOW|PYTEST", name)}
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "no:cacheprovider",
                "-W",
                "ignore",
                f"--rootdir={directory}",
                *arguments,
            ],
            cwd=directory,
            env=environment | {"CONSUL_BINARY": consul, "AIRFLOW_HOME": str(tmp_path / "author")} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not (tmp_path / "author").exists(), "the author's Airflow was touched"
        return done.stdout

    return run
