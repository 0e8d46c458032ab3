"""The pytest plugin: the fixture ``fleet``.

pytest loads this wherever the provider is installed, so it imports nothing else of this package until a test
asks for a fixture.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_chefconsul.testing.airflow_home import AirflowHome
    from airflow_provider_chefconsul.testing.consul_server import ConsulServer
    from airflow_provider_chefconsul.testing.fleet import FleetUnderTest


@pytest.fixture(scope="session")
def chefconsul_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    """A Consul for this test process, on its own ports: ``CONSUL_BINARY``, or the one on the PATH."""
    from airflow_provider_chefconsul.exceptions import ConsulUnavailable
    from airflow_provider_chefconsul.testing.consul_server import ConsulServer

    problem = ""
    try:
        server = ConsulServer(tmp_path_factory.mktemp("consul"))
        server.start()
    except ConsulUnavailable as error:
        problem = str(error)
    if problem:  # not inside the except block, which would show the text twice
        pytest.fail(problem, pytrace=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chefconsul_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    """An Airflow for this test process, with its own home and database; created when the first Dag runs."""
    from airflow_provider_chefconsul.testing.airflow_home import AirflowHome

    home = AirflowHome(tmp_path_factory.mktemp("airflow"))
    yield home
    home.close()


@pytest.fixture
def fleet(chefconsul_server: ConsulServer, chefconsul_airflow: AirflowHome) -> Iterator[Callable[..., FleetUnderTest]]:
    """Start simulated nodes: ``fleet(web=12, db=3, faults=["25% of web fail with release=2.5.0"])``.

    They stop when the test ends. See :class:`~airflow_provider_chefconsul.testing.fleet.FleetUnderTest`.
    """
    from airflow_provider_chefconsul.testing.fleet import FleetUnderTest

    with ExitStack() as stack:

        def start(**options: Any) -> FleetUnderTest:
            root = f"test-{uuid.uuid4().hex[:12]}"
            return stack.enter_context(FleetUnderTest(chefconsul_server.settings(root), chefconsul_airflow, **options))

        yield start
