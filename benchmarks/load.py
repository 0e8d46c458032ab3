"""Tiers whose members are registered in the catalog, and the reports of all of them, spread over a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from airflow_provider_chefconsul.consul.http.operation import LONGEST_TRANSACTION, Operation
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.verdict.wait import Wait
from airflow_provider_chefconsul.domain.write.change import Change
from demo.cluster import ConsulCluster
from demo.consul_binary import find_consul

ROOT, ENVIRONMENT = "bench", "demo"
Tiers = Mapping[tuple[str, str], Sequence[str]]
"""The nodes of each tier, by environment and tier."""


@contextmanager
def consul() -> Iterator[ConsulCluster]:
    """A Consul with one server, which keeps everything in memory."""
    with (
        TemporaryDirectory(prefix="benchmark-") as directory,
        ConsulCluster(find_consul(), Path(directory), in_memory=True) as cluster,
    ):
        yield cluster


async def register(view: SharedView, tiers: Tiers) -> None:
    """Make all nodes members of their tiers."""
    operations = [
        operation
        for (_, tier), nodes in tiers.items()
        for node in nodes
        for operation in (Operation.set_node(node, "127.0.0.1", {"tier": tier}), Operation.set_service(node, tier))
    ]
    for start in range(0, len(operations), LONGEST_TRANSACTION):
        await view.client.transact(operations[start : start + LONGEST_TRANSACTION])


async def declare(view: SharedView, tiers: Tiers, number: int) -> dict[tuple[str, str], int]:
    """Write a desired state of all tiers; returns their generations."""
    change = Change("converged", Writer("bench", "run", "set"), {"release": str(number)})
    return {
        (environment, tier): (await write(view, environment, {tier: change})).generations[tier]
        for environment, tier in tiers
    }


async def report(
    view: SharedView, tiers: Tiers, generations: Mapping[tuple[str, str], int], seconds: float
) -> dict[tuple[str, str], int]:
    """Write every node's report in a random order, evenly over a time, and the very last one by itself.

    :returns: by tier, when its last report was written, in nanoseconds since the epoch.
    """
    reports = [(of, node) for of, nodes in tiers.items() for node in nodes]
    Random(len(reports)).shuffle(reports)
    last: dict[tuple[str, str], int] = {}
    began, position = time.monotonic(), 0
    while position < len(reports):
        share = (time.monotonic() - began) / seconds if seconds else 1.0
        due = min(int(len(reports) * share), position + LONGEST_TRANSACTION)
        batch = reports[position : max(position + 1, min(due, len(reports) - 1))]
        if seconds and due <= position:
            await asyncio.sleep(0.005)
            continue
        last |= dict.fromkeys((of for of, _ in batch), time.time_ns())
        await view.client.transact([_report(view, *of, node, generations[of]) for of, node in batch])
        position += len(batch)
    return last


def _report(view: SharedView, environment: str, tier: str, node: str, generation: int) -> Operation:
    document = NodeReport(
        node, tier, generation, "converged", Status.SUCCEEDED, f"{generation:032x}",
        "2026-11-22T08:00:01Z", "2026-11-22T08:00:09Z", 2, "consul", "chef 18.5.0",
    )  # fmt: skip
    return Operation.set_key(view.keys.report(environment, tier, node), document.to_json())


def parameters(environment: str, generations: Mapping[str, int]) -> dict[str, Any]:
    """What a ConvergedTrigger for these tiers is given."""
    policy = ConvergencePolicy(timeout=timedelta(minutes=10))
    deadline = datetime.now(UTC) + policy.timeout
    return {
        "consul_conn_id": "consul_default",
        "environment": environment,
        "waits": {tier: Wait(generation, deadline).to_fields() for tier, generation in generations.items()},
        "policy": policy.to_fields(),
        "members": "service",
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    return sorted(values)[max(0, round(share * len(values)) - 1)]
