"""The simulated client's ACL token, against a real Consul that denies by default."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_chefconsul.testing.consul_version import first_token, version_of
from demo.cluster import ConsulCluster
from tests.simulator.gate import Gate
from tests.simulator.node import Node

MANAGEMENT_TOKEN = "b1d2c3e4-0000-4000-8000-000000000001"
CreateToken = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def guarded_cluster(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulCluster]:
    """A Consul server with ACLs."""
    tokens = first_token(version_of(consul_binary), MANAGEMENT_TOKEN)
    acl = {"enabled": True, "default_policy": "deny", "tokens": tokens}
    directory = tmp_path_factory.mktemp("consul")
    options: dict[str, Any] = {"extra_config": {"acl": acl}, "token": MANAGEMENT_TOKEN, "in_memory": True}
    with ConsulCluster(consul_binary, directory, **options) as cluster:
        for _ in range(200):  # a server makes its tokens a moment after it has begun to lead
            if _request(cluster.http_port, "GET", "token/self")[0] == 200:
                break
            time.sleep(0.05)
        yield cluster


@pytest.fixture
def guarded_node(guarded_cluster: ConsulCluster, consul_root: str, tmp_path: Path) -> Iterator[Node]:
    """A node whose desired state is written, and whose tokens are still to be made."""
    with Node(guarded_cluster.http_port, consul_root, tmp_path, MANAGEMENT_TOKEN) as node:
        node.desire(7)
        yield node


@pytest.fixture
def create_token(guarded_node: Node, tmp_path: Path) -> CreateToken:
    """Make a token with rules, and give the client's arguments for it."""

    def create(rules: str) -> list[str]:
        port = guarded_node.port
        _, policy = _request(port, "PUT", "policy", {"Name": guarded_node.root, "Rules": rules})
        _, token = _request(port, "PUT", "token", {"Policies": [{"ID": policy["ID"]}]})
        token_file = tmp_path / "token"
        token_file.write_text(f"{token['SecretID']}\n")
        return ["--token-file", str(token_file)]

    return create


def _request(port: int, method: str, path: str, fields: dict[str, Any] | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        body = json.dumps(fields) if fields is not None else None
        connection.request(method, f"/v1/acl/{path}", body, {"X-Consul-Token": MANAGEMENT_TOKEN})
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    return response.status, json.loads(answer) if response.status == 200 else answer.decode()


def test_token_of_a_node(guarded_node: Node, create_token: CreateToken) -> None:
    """A token that may read the desired state and write the node's report is all that a run needs."""
    arguments = create_token(
        f'key "{guarded_node.desired_key}" {{ policy = "read" }} key "{guarded_node.report_key}" {{ policy = "write" }}'
    )
    assert guarded_node.run(*arguments)[0] == 0
    assert guarded_node.reported("status", "generation") == ["succeeded", 7]
    code, output = guarded_node.run(*arguments, "--if-needed")
    assert (code, "nothing to do" in output) == (0, True)


def test_refused(guarded_node: Node) -> None:
    """A refused read fails the run at once, and is not taken for a missing key."""
    code, output = guarded_node.run()
    assert (code, "Permission denied" in output, "no such key" in output) == (1, True, False)
    assert f"refused GET {guarded_node.desired_key}" in output
    assert guarded_node.report() is None


def test_unknown_token(guarded_node: Node, tmp_path: Path) -> None:
    """A token that Consul does not know fails the run at once with Consul's own words."""
    token_file = tmp_path / "token"
    token_file.write_text("b1d2c3e4-0000-4000-8000-00000000dead")
    code, output = guarded_node.run("--token-file", str(token_file))
    assert (code, "ACL not found" in output, "dead" in output) == (1, True, False)


def test_refused_read_is_reported_where_it_may_be(guarded_node: Node, create_token: CreateToken) -> None:
    """A node that may not read its desired state but may report says in its report why it did not run."""
    code, _ = guarded_node.run(*create_token(f'key "{guarded_node.report_key}" {{ policy = "write" }}'))
    assert code == 1
    assert guarded_node.reported("status", "generation", "state") == ["failed", None, None]
    assert guarded_node.reported("error")[0]["class"] == "AccessDenied"


def test_refused_report(guarded_node: Node, create_token: CreateToken) -> None:
    """A run that may not report goes on, says so, and exits with its own code."""
    code, output = guarded_node.run(*create_token(f'key "{guarded_node.desired_key}" {{ policy = "read" }}'))
    assert (code, output.count("ERROR: could not report")) == (0, 2)
    assert guarded_node.report() is None


def test_token_is_sent_and_not_shown(node: Node, gate: Gate, tmp_path: Path) -> None:
    """The token of the file goes with each request, and nowhere else."""
    node.desire(7)
    token_file = tmp_path / "token"
    token_file.write_text("\n 5ec2e7 \n")
    code, output = node.run("--consul", gate.url, "--token-file", str(token_file), "--if-needed")
    assert (code, "5ec2e7" in output) == (0, False)
    assert gate.tokens == ["5ec2e7"] * 5
    assert not any("5ec2e7" in request for request in gate.lines)
