"""Remote execution where every token may do only its own: a key prefix per node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.exceptions import AccessDenied
from airflow_provider_chefconsul.nudge.remote_exec import run_over_consul
from airflow_provider_chefconsul.nudge.result import CommandOutcome, NodeResult
from demo.cluster import ConsulCluster

NODES = ["web-1", "web-2"]
WITHOUT_RULE = "web-3"
ANONYMOUS = "00000000-0000-0000-0000-000000000002"
READ_CATALOG = {"node_prefix": {"": {"policy": "read"}}, "service_prefix": {"": {"policy": "read"}}}
ORCHESTRATOR = {
    "session_prefix": {"": {"policy": "write"}},
    "key_prefix": {"rexec-node/": {"policy": "write"}},
    "event": {"_rexec": {"policy": "write"}},
}


@dataclass
class Guarded:
    """A cluster with ACLs, denying by default, and the token that may do everything."""

    cluster: ConsulCluster
    management: str

    def put(self, path: str, body: object = None) -> dict[str, str]:
        """PUT as management."""
        response = httpx.put(
            f"{self.cluster.server.url}{path}", json=body, headers={"X-Consul-Token": self.management}, timeout=15
        )
        response.raise_for_status()
        return dict(response.json())

    def create_token(self, *rules: object) -> str:
        """A token with these rules."""
        policies = [{"ID": self.create_policy(rule)} for rule in rules]
        return self.put("/v1/acl/token", {"Policies": policies})["SecretID"]

    def create_policy(self, rules: object) -> str:
        """A policy under a name of its own."""
        return self.put("/v1/acl/policy", {"Name": uuid4().hex, "Rules": json.dumps(rules)})["ID"]

    def connect(self, token: str) -> ConsulClient:
        """A client of the server."""
        return ConsulClient(ConsulSettings("127.0.0.1", self.cluster.http_port, token=token))


@pytest.fixture(scope="module")
def guarded(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Two nodes that may write their own keys, and one that may not."""
    acl = {"enabled": True, "default_policy": "deny", "enable_token_persistence": True}
    cluster = ConsulCluster(consul_binary, tmp_path_factory.mktemp("guarded"), extra_config={"acl": acl})
    with cluster:
        bootstrap = httpx.put(f"{cluster.server.url}/v1/acl/bootstrap", timeout=15)
        guarded = Guarded(cluster, bootstrap.raise_for_status().json()["SecretID"])
        reader = guarded.create_policy(READ_CATALOG)  # for the cluster's own look at whether it is ready
        guarded.put(f"/v1/acl/token/{ANONYMOUS}", {"Policies": [{"ID": reader}]})
        for node in [*NODES, WITHOUT_RULE]:
            rules = {"node": {node: {"policy": "write"}}, "service_prefix": {"": {"policy": "write"}}}
            keys = {"key_prefix": {f"rexec-node/{node}/": {"policy": "write"}}} if node in NODES else {}
            token = guarded.create_token({**rules, **keys})
            tokens = {"agent": token, "default": token}
            cluster.add_node(node, tier="web", extra_config={"acl": {**acl, "tokens": tokens}})
        cluster.wait_until_ready()
        yield guarded


async def run(guarded: Guarded, token: str, **overrides: str | None) -> dict[str, NodeResult]:
    """Execute on all nodes; afterwards, nothing may be left."""
    async with guarded.connect(token) as client:
        try:
            return await run_over_consul(
                client,
                "exit 3",
                [*NODES, WITHOUT_RULE],
                job_id=uuid4().hex,
                deadline=datetime.now(UTC) + timedelta(seconds=30),
                ack_timeout=timedelta(seconds=4),
                **{"prefix_per_node": "rexec-node"} | overrides,
            )
        finally:
            async with guarded.connect(guarded.management) as judge:
                assert (await judge.session.list())[1] == []
                assert (await judge.names(""))[1] == []


@pytest.mark.parametrize("rules", [(ORCHESTRATOR, READ_CATALOG), (ORCHESTRATOR,)])
async def test_each_node_under_its_own_prefix(guarded: Guarded, rules: tuple[object, ...]) -> None:
    """Nodes whose token has the rule exit, one without it never answers; the servers need not be listed for that."""
    results = await run(guarded, guarded.create_token(*rules))

    assert results == {node: NodeResult(node, CommandOutcome.EXITED, 3) for node in NODES} | {
        WITHOUT_RULE: NodeResult(WITHOUT_RULE, CommandOutcome.UNACKNOWLEDGED)
    }


async def test_shared_prefix_reaches_nobody(guarded: Guarded) -> None:
    """Nodes that may write only below their own prefix cannot answer below the shared one."""
    token = guarded.create_token({**ORCHESTRATOR, "key_prefix": {"_rexec/": {"policy": "write"}}})
    results = await run(guarded, token, prefix_per_node=None)

    assert {result.outcome for result in results.values()} == {CommandOutcome.UNACKNOWLEDGED}


@pytest.mark.parametrize("missing", list(ORCHESTRATOR))
async def test_missing_permission_is_an_error(guarded: Guarded, missing: str) -> None:
    """Sessions, keys and the event: without one of the three, Consul's refusal is the outcome."""
    token = guarded.create_token({rule: value for rule, value in ORCHESTRATOR.items() if rule != missing})

    with pytest.raises(AccessDenied, match="Consul refuses the ACL token"):
        await run(guarded, token)


async def test_node_cannot_speak_for_another(guarded: Guarded) -> None:
    """An exit code that stands below one node's prefix under another's name is not the other's."""
    async with guarded.connect(guarded.management) as client:
        deadline = datetime.now(UTC) + timedelta(seconds=30)
        running = asyncio.create_task(
            run_over_consul(
                client, "sleep 1; exit 3", NODES, job_id=uuid4().hex, deadline=deadline, prefix_per_node="rexec-node"
            )
        )
        jobs: list[str] = []
        while not jobs:
            _, jobs = await client.names("rexec-node/web-1/")
        session = jobs[0].split("/")[2]
        for kind, value in (("ack", ""), ("exit", "0")):
            await client.kv.put(f"rexec-node/web-1/{session}/web-2/{kind}", value, acquire=session)

        assert await running == {node: NodeResult(node, CommandOutcome.EXITED, 3) for node in NODES}
