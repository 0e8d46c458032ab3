"""A node of docker-compose.yml: its scripts, on a real Consul, with the simulated client or a real Chef."""

from __future__ import annotations

import base64
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import consul
import httpx
import pytest

from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from demo.chef_client import find_chef
from demo.cluster import ConsulCluster
from tests.compose.container import SCRIPTS, NodeContainer
from tests.support.factory import make_assignment, make_desired
from tests.support.raw_keys import RawKeys

PATIENCE = 60.0  # how long a test waits for what must come; no test asserts how long it took

SIMULATED = f"""#!/bin/sh
echo "$@" >>"$NODE_HOME/arguments"
exec {sys.executable} -m airflow_provider_chefconsul.simulator.client --node "$NODE_NAME" --tier "$NODE_TIER" \\
    --environment "$NODE_ENVIRONMENT" --consul "http://$CONSUL_HTTP_ADDR" --state-dir "$NODE_HOME/state" --seconds 0
"""


@dataclass(frozen=True)
class World:
    """A Consul whose gossip key is known, and nodes for it."""

    cluster: ConsulCluster
    keys: RawKeys
    make: Callable[..., NodeContainer]

    def declare(self, generation: int, release: str) -> None:
        """Tier web is to converge on a release."""
        stable = make_assignment(generation, values={"release": release})
        self.keys["demo/web/desired"] = make_desired(generation, stable=stable).to_json()

    def has_succeeded(self, generation: int) -> bool:
        """Whether web-1 reports success for a generation."""
        key = "demo/web/nodes/web-1"
        report = NodeReport.from_json(key, self.keys[key]) if key in self.keys else None
        return report is not None and (report.generation, report.status) == (generation, Status.SUCCEEDED)


@pytest.fixture
def world(make_cluster: Callable[..., ConsulCluster], tmp_path: Path) -> World:
    """A cluster of the test's own."""
    key = base64.b64encode(os.urandom(32)).decode()
    cluster = make_cluster(extra_config={"encrypt": key}, fast_failure_detection=True)
    keys = RawKeys(consul.Consul(host="127.0.0.1", port=cluster.http_port), DEFAULT_ROOT)

    def make(**programs: Path) -> NodeContainer:
        return NodeContainer("web-1", "web", tmp_path / "web-1", cluster=cluster, key=key, **programs)

    return World(cluster, keys, make)


def until(has_come: Callable[[], object], log: Path) -> None:
    """Wait for it, or fail with the end of the container's log."""
    deadline = time.monotonic() + PATIENCE
    while not has_come():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)


def test_node_follows_its_tier(world: World, tmp_path: Path):
    """It joins as a member of its tier, converges when the state is declared, and again when it changes."""
    client = tmp_path / "simulated-client"
    client.write_text(SIMULATED)
    client.chmod(0o755)
    ruby = shutil.which("ruby")
    assert ruby is not None, "no ruby: `make packages` installs it"
    container = world.make(client=client, ruby=Path(ruby))
    with container:
        for generation in (1, 2):
            world.declare(generation, f"2.{generation}.0")
            until(partial(world.has_succeeded, generation), container.log)
        url = f"{world.cluster.server.url}/v1/catalog/service/web"  # the agent tells the catalog in its own time
        until(lambda: httpx.get(url, trust_env=False).json(), container.log)
        services = httpx.get(url, trust_env=False).json()
        assert [(each["Node"], each["NodeMeta"]["tier"]) for each in services] == [("web-1", "web")]
        until(lambda: container.health() == (True, "alive, and the last Chef run succeeded\n"), container.log)
    home = tmp_path / "web-1"
    arguments = (home / "arguments").read_text().splitlines()[0].split()
    assert [word for word in arguments if word.startswith("/") and not Path(word).exists()] == []
    assert (home / "agent").stat().st_mode & 0o077 == 0, "the gossip key is in there"


def test_health_tells_what_is_lost_and_what_failed(world: World, tmp_path: Path):
    """A node that the servers do not know or have lost is not healthy; neither is one whose last run failed."""
    client = tmp_path / "client"
    client.write_text(f"#!/bin/sh\n[ ! -e {tmp_path}/broken ]\n")
    client.chmod(0o755)
    ruby = shutil.which("ruby")
    assert ruby is not None, "no ruby: `make packages` installs it"
    container = world.make(client=client, ruby=Path(ruby))
    is_healthy, said = container.health()
    assert not is_healthy
    assert "Consul's agent does not answer" in said
    with container:
        until(lambda: container.health()[0], container.log)

        (tmp_path / "broken").touch()
        world.declare(1, "2.4.0")
        until(lambda: not container.health()[0], container.log)
        log = tmp_path / "web-1" / "chef.log"
        assert container.health()[1] == f"the last Chef run exited with 1; see {log} and this container's log\n"
        (tmp_path / "broken").unlink()
        world.declare(2, "2.5.0")
        until(lambda: container.health()[0], container.log)

        lost = NodeContainer("web-9", "web", tmp_path / "web-1", cluster=world.cluster, client=client, ruby=Path(ruby),
                             key="", agent=container.agent)  # fmt: skip
        assert lost.health() == (False, "Consul's servers do not know web-9\n")
        agent = world.cluster.add_node("web-9", tier="web")
        world.cluster.wait_until_ready()
        assert lost.health()[0]
        agent.kill()
        until(lambda: not lost.health()[0], container.log)
        assert lost.health()[1].startswith("Consul's servers have lost web-9: ")


def test_node_converges_with_chef_and_again_after_a_restart(world: World, tmp_path: Path):
    """With a real Chef it serves the release. What it ran is gone with the container, and back after the next start."""
    chef = find_chef(tmp_path)
    if chef is None:
        pytest.skip("no chef-client on the PATH: converge tests were not run")
    container = world.make(client=chef.program, ruby=chef.ruby)
    image = sorted(SCRIPTS.iterdir())

    def serves() -> str | None:
        try:
            return httpx.get(f"http://127.0.0.1:{container.shop_port}/", trust_env=False).text
        except httpx.TransportError:
            return None

    with container:
        world.declare(1, "2.4.0")
        until(lambda: serves() == "web serves release 2.4.0\n", container.log)
        until(partial(world.has_succeeded, 1), container.log)
    assert serves() is None
    with container:  # the report says succeeded, so the agent's watch runs nothing
        until(lambda: serves() == "web serves release 2.4.0\n", container.log)
    world.declare(2, "2.5.0")
    with container:
        until(lambda: serves() == "web serves release 2.5.0\n", container.log)
    assert sorted(SCRIPTS.iterdir()) == image, "what Chef writes belongs into the node's volume"
