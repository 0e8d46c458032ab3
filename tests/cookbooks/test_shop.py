"""The example application, upgraded by a real chef-client, and its answers during the upgrade."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.testing.consul_agent import free_port
from tests.cookbooks.trial import Trial, TrialNode

TIERS = ("db", "app", "web")


@pytest.fixture
def shop(trial: Trial) -> Iterator[TrialNode]:
    """A node with all three tiers; their processes are killed at the end."""
    node = trial.node("one")
    root = node.home / "shop"
    node.attributes = {
        "run_list": [f"recipe[shop::{tier}]" for tier in TIERS],
        "shop": {
            "root": str(root),
            "ports": {tier: free_port() for tier in TIERS},
            "store": str(node.home / "store"),
            "supervisor": "process",
        },
    }
    yield node
    for pid in pids(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def pids(root: Path) -> list[int]:
    """The processes that run a program below a directory, whether or not a pid file knows them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{root}/".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def answers(node: TrialNode) -> dict[str, tuple[int, str] | None]:
    """Each tier's answer, None if nothing listens."""
    found: dict[str, tuple[int, str] | None] = {}
    for tier, port in node.attributes["shop"]["ports"].items():
        try:
            response = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
            found[tier] = (response.status_code, response.text)
        except httpx.ConnectError:
            found[tier] = None
    return found


def test_upgrade(trial, shop):
    """From off through waiting to converged and back to off; a run with nothing to do updates nothing."""

    def converge(generation, **states):
        for tier, state in states.items():
            trial.desire(generation, state, tier)
        ran = shop.converge()
        assert ran.code == 0, ran.output
        reports = [trial.report("one", tier) for tier in states]
        assert [(report.state, report.status) for report in reports] == [
            (state, Status.SUCCEEDED) for state in states.values()
        ]
        return answers(shop), reports[0].updated_resources

    nothing = dict.fromkeys(TIERS)
    serving = {
        "db": (200, "db serves release 2.5.0\nschema of release 2.5.0\n"),
        "app": (200, "app serves release 2.5.0\n"),
        "web": (200, "web serves release 2.5.0\n"),
    }
    waiting = {"app": (503, "app waits at release 2.5.0\n"), "web": (503, "web waits at release 2.5.0\n")}

    assert converge(1, db="off", app="off", web="off") == (nothing, 0)
    assert converge(2, db="converged", app="waiting", web="waiting")[0] == serving | waiting
    started = {tier: (shop.home / "shop" / tier / "pid").read_text() for tier in TIERS}
    assert converge(3, db="converged", app="converged", web="converged")[0] == serving
    assert converge(4, db="converged", app="converged", web="converged") == (serving, 0)
    restarted = {tier for tier in TIERS if (shop.home / "shop" / tier / "pid").read_text() != started[tier]}
    assert restarted == {"app", "web"}
    assert len(pids(shop.home / "shop")) == 3
    assert converge(5, db="off", app="off", web="off") == (nothing, 6)  # three tiers, and the process of each
    assert pids(shop.home / "shop") == []
    store = json.loads((shop.home / "store" / "schema.json").read_text())
    assert [(migration["to"], migration["by"]) for migration in store["migrations"]] == [("2.5.0", "one")]
