"""Nodes that converge at once: a thread that watches some tiers and reports for their members."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import consul

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.report import RunError, Status
from tests.support.factory import make_report

_WAIT = "1s"  # how long a watch takes to notice that it is to stop


@contextmanager
def following(
    port: int, root: str, tier_paths: Sequence[tuple[str, str]], nodes: Sequence[str], *, failing: str = ""
) -> Iterator[None]:
    """While the block runs, nodes report each of their assignments as converged.

    :param tier_paths: pairs of environment and tier.
    :param failing: a node that fails wherever a canary is out.
    """
    is_over = threading.Event()
    threads = [
        threading.Thread(target=_follow, args=(port, root, tier_path, nodes, failing, is_over), daemon=True)
        for tier_path in tier_paths
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _follow(
    port: int, root: str, tier_path: tuple[str, str], nodes: Sequence[str], failing: str, is_over: threading.Event
) -> None:
    environment, tier = tier_path
    client = consul.Consul(host="127.0.0.1", port=port)
    client.http.session.trust_env = False  # Airflow changes the environment meanwhile, in which it looks for proxies
    key = f"{root}/{environment}/{tier}/desired"
    index: Any = None
    done: dict[str, Any] = {}
    while not is_over.is_set():
        index, entry = client.kv.get(key, index=index, wait=_WAIT)
        if entry is None:
            continue
        desired = DesiredState.from_json(key, entry["Value"])
        for node in nodes:
            assignment = desired.assignment_for(node)
            if done.get(node) == assignment:
                continue
            done[node] = assignment
            is_failed = node == failing and desired.canary is not None
            report = make_report(
                node,
                tier=tier,
                generation=assignment.generation,
                state=assignment.state,
                id=assignment.id,
                status=Status.FAILED if is_failed else Status.SUCCEEDED,
                error=RunError("Picky", "does not take it") if is_failed else None,
            )
            client.kv.put(f"{root}/{environment}/{tier}/nodes/{node}", report.to_json())
