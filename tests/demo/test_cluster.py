"""The real cluster that the demo, the tests and the benchmarks run on."""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_chefconsul.testing.consul_agent import AgentError, ConsulAgent
from airflow_provider_chefconsul.testing.consul_version import first_token, version_of
from airflow_provider_chefconsul.testing.port import ADDRESS
from demo.cluster import ClusterError, ConsulCluster
from tests.conftest import ClusterFactory
from tests.testing.test_processes import is_alive, wait_for


def get(cluster: ConsulCluster, path: str) -> Any:
    """Ask the server's HTTP API."""
    response = httpx.get(f"http://{ADDRESS}:{cluster.http_port}/v1{path}", trust_env=False, timeout=10)
    return response.raise_for_status().json()


def serf_status(cluster: ConsulCluster, node: str) -> str:
    """Give what Consul thinks of a node: passing or critical."""
    checks = get(cluster, f"/health/node/{node}")
    return next((check["Status"] for check in checks if check["CheckID"] == "serfHealth"), "unknown")


def put(cluster: ConsulCluster, key: str, value: str) -> None:
    """Write a key."""
    httpx.put(
        f"http://{ADDRESS}:{cluster.http_port}/v1/kv/{key}", content=value, trust_env=False, timeout=10
    ).raise_for_status()


def test_nodes_are_members_of_their_tiers_and_can_be_killed_and_restarted(make_cluster: ClusterFactory) -> None:
    """A killed node turns critical and stays in the catalog; restarted, it passes again under its name."""
    cluster = make_cluster(web=2, fast_failure_detection=True)
    assert sorted(entry["Node"]["Node"] for entry in get(cluster, "/health/service/web?passing")) == ["web-1", "web-2"]
    # An agent that joins is registered by a server at first, and adds its metadata by itself.
    by_meta = '/catalog/nodes?filter=Meta.tier == "web"'
    wait_for(lambda: [node["Node"] for node in get(cluster, by_meta)] == ["web-1", "web-2"], seconds=10)
    pid = cluster.nodes["web-2"].pid
    assert pid is not None

    cluster.kill_node("web-2")
    assert not is_alive(pid)
    assert not cluster.nodes["web-2"].is_running
    wait_for(lambda: serf_status(cluster, "web-2") == "critical", seconds=10)
    cluster.wait_until_ready()  # a killed node is not waited for

    cluster.restart_node("web-2")
    cluster.wait_until_ready()
    wait_for(lambda: serf_status(cluster, "web-2") == "passing", seconds=10)


def test_nothing_is_left_after_stop(make_cluster: ClusterFactory, tmp_path: Path) -> None:
    """Agents end, and so does a watch handler that is still at work."""
    started = tmp_path / "handler"
    cluster = make_cluster()
    handler = ["/bin/sh", "-c", f"echo $$ > {started}; sleep 60"]
    cluster.add_node("web-1", tier="web", watch_key="a/desired", watch_command=handler)
    cluster.wait_until_ready()
    wait_for(lambda: started.exists() and started.read_text().strip())
    pids = [cluster.server.pid, cluster.nodes["web-1"].pid, int(started.read_text())]
    assert all(pid is not None and is_alive(pid) for pid in pids)
    cluster.stop()
    wait_for(lambda: not any(pid is not None and is_alive(pid) for pid in pids))


def test_watch_command_runs_in_the_environment_of_its_node(make_cluster: ClusterFactory, tmp_path: Path) -> None:
    """The handler finds programs of the node's bin directory, and its agent; not our Consul's."""
    program = tmp_path / "bin" / "report-environment"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$CONSUL_HTTP_ADDR $(cat)" >> {tmp_path}/seen\n')
    program.chmod(0o755)
    cluster = make_cluster()
    cluster.add_node(
        "web-1",
        tier="web",
        bin_dir=program.parent,
        watch_key="a/desired",
        watch_command=[program.name],
    )
    cluster.wait_until_ready()
    put(cluster, "a/desired", "42")
    wait_for(lambda: (tmp_path / "seen").exists() and '"a/desired"' in (tmp_path / "seen").read_text())
    last = (tmp_path / "seen").read_text().splitlines()[-1]
    address, value = last.split(" ", 1)
    assert address == f"http://{ADDRESS}:{cluster.nodes['web-1'].http_port}"
    assert json.loads(value)["Value"] == "NDI="


def test_server_comes_back_with_its_data_and_its_nodes(make_cluster: ClusterFactory) -> None:
    """After a restart the server answers on the same port, has every key, and the nodes pass again."""
    cluster = make_cluster(web=1, in_memory=False)
    put(cluster, "kept", "x")
    port = cluster.http_port
    cluster.kill_server()
    with pytest.raises(httpx.TransportError):
        get(cluster, "/status/leader")
    cluster.restart_server()
    cluster.wait_until_ready()
    assert cluster.http_port == port
    assert get(cluster, "/kv/kept")[0]["Value"] == "eA=="


def test_agent_whose_port_was_taken_gets_others(make_cluster: ClusterFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may take a port between choice and use."""
    cluster = make_cluster()
    with socket.create_server((ADDRESS, 0)) as taken:
        taken_port = taken.getsockname()[1]
        choose = ConsulAgent._choose_ports

        def choose_taken_once(agent: ConsulAgent) -> None:
            choose(agent)
            agent.http_port = taken_port
            monkeypatch.setattr(ConsulAgent, "_choose_ports", choose)

        monkeypatch.setattr(ConsulAgent, "_choose_ports", choose_taken_once)
        node = cluster.add_node("web-1", tier="web")
        assert node.http_port == taken_port
        cluster.wait_until_ready()
        assert node.http_port != taken_port


def test_agent_that_cannot_start_is_reported_with_the_end_of_its_log(make_cluster: ClusterFactory) -> None:
    """A bad configuration ends the wait at once and says why."""
    cluster = make_cluster()
    cluster.add_node("web-1", tier="web", extra_config={"no_such_option": True})
    begun = time.monotonic()
    with pytest.raises(AgentError, match=r"(?s)web-1 exited with 1.*no_such_option"):
        cluster.wait_until_ready()
    assert time.monotonic() - begun < 10


def test_unready_node_is_named(make_cluster: ClusterFactory) -> None:
    """A node that cannot join is named when the time is over; so is a node that does not exist."""
    cluster = make_cluster()
    cluster.add_node("web-1", tier="web", extra_config={"encrypt": "AAAAAAAAAAAAAAAAAAAAAA=="})
    with pytest.raises((ClusterError, AgentError), match="web-1"):
        cluster.wait_until_ready(timeout_seconds=3)
    with pytest.raises(ClusterError, match=r"no node named db-1; it has web-1"):
        cluster.kill_node("db-1")


def test_access_control_can_be_switched_on(make_cluster: ClusterFactory, consul_binary: Path) -> None:
    """extra_config reaches every agent: with a default of deny, only a token sees the nodes."""
    token = "11111111-2222-3333-4444-555555555555"
    tokens = {**first_token(version_of(consul_binary), token), "agent": token, "default": token}
    acl = {"enabled": True, "default_policy": "deny", "tokens": tokens}
    cluster = make_cluster(web=1, extra_config={"acl": acl}, token=token)
    url = f"http://{ADDRESS}:{cluster.http_port}/v1/agent/members"
    assert len(httpx.get(url, headers={"X-Consul-Token": token}, trust_env=False).json()) == 2
    assert os.environ.get("CONSUL_HTTP_TOKEN") is None


def test_shared_cluster_has_only_its_server(cluster: ConsulCluster, consul_root: str) -> None:
    """The fixture of the session leads and takes writes."""
    put(cluster, f"{consul_root}/key", "1")
    assert get(cluster, f"/kv/{consul_root}/key?raw") == 1
    assert cluster.nodes == {}


def test_configuration_of_agents_is_for_this_user_only(make_cluster: ClusterFactory, tmp_path: Path) -> None:
    """The gossip key is in there, and tokens; a file that others could read before is made anew."""
    cluster = make_cluster(web=1)
    files = sorted(tmp_path.rglob("config.json"))
    assert len(files) == 2
    files[-1].chmod(0o644)
    cluster.restart_node("web-1")
    cluster.wait_until_ready()
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
