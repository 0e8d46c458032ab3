"""Phase 1 of the maturity model with a real sshd: what it does, and what it cannot tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dags.test_phase2_declarative_rollout import load
from tests.support.ssh_fixtures import DOWN, HOSTS

MEMBERS = {"web": ("web-1", "web-2"), "app": ("web-3",), "db": ("web-4",)}


@pytest.fixture
def srv(tmp_path, consul_connection, ssh_connection, ssh_hosts) -> Path:
    """The nodes' files: a release, and for each tier a service that records its commands."""
    (tmp_path / "releases" / "2.5.0").mkdir(parents=True)
    (tmp_path / "releases" / "2.5.0" / "version").write_text("2.5.0\n")
    for tier, nodes in MEMBERS.items():
        ssh_hosts(*nodes, tier=tier)
        service = tmp_path / tier / "service"
        service.parent.mkdir()
        service.write_text(
            f'#!/bin/sh\nset -- $1 $SSH_CONNECTION; echo "$1 {tier} $4" >>{tmp_path}/log; [ ! -e {tmp_path}/fail-$4 ]\n'
        )
        service.chmod(0o755)
    return tmp_path


@pytest.fixture
def upgrade(srv, run_dag):
    """Run the Dag; returns the states of its tasks, and the services' commands in order."""

    def run() -> tuple[dict[str, str], list[list[str]]]:
        states = run_dag(
            load("phase1_do_it_like_before"), release="2.5.0", releases=f"{srv}/releases", services=str(srv)
        )
        return states, [line.split() for line in (srv / "log").read_text().splitlines()]

    return run


def test_good_day(upgrade, srv):
    """Services stop from the front, files are copied, services start from the back, each on all nodes of its tier."""
    states, commands = upgrade()
    assert set(states.values()) == {"success"}
    assert len(states) == 1 + 2 * 9
    order = [(action, tier) for action, tier, _ in commands]
    assert list(dict.fromkeys(order)) == [
        *[("stop", tier) for tier in ("web", "app", "db")],
        *[("start", tier) for tier in ("db", "app", "web")],
    ]
    assert order == sorted(order, key=list(dict.fromkeys(order)).index), "a tier began before the one before had ended"
    assert {host for _, tier, host in commands if tier == "web"} == {HOSTS["web-1"], HOSTS["web-2"]}
    assert [(srv / tier / "version").read_text() for tier in MEMBERS] == ["2.5.0\n"] * 3


def test_node_that_was_down_keeps_the_old_release(upgrade, members):
    """The first problem: every task succeeds although the node was not upgraded."""
    members("app-2", tier="app", check="critical")
    states, commands = upgrade()
    assert states["run"] == "success"
    assert {host for _, tier, host in commands if tier == "app"} == {HOSTS["web-3"]}


@pytest.mark.parametrize("trouble", ["fails", "cannot be reached"])
def test_step_that_fails_leaves_the_environment_half_way(upgrade, srv, ssh_hosts, trouble):
    """A node that fails, or that is present and cannot be reached: the Dag run fails, and what was stopped stays so."""
    if trouble == "fails":
        (srv / f"fail-{HOSTS['web-3']}").touch()
    else:
        ssh_hosts("app-2", tier="app", address=DOWN)
    states, commands = upgrade()
    assert (states["run"], states["stop_app.run"], states["stop_app.check"]) == ("failed", "success", "failed")
    assert states["copy_web.run"] == "upstream_failed"
    assert {(action, tier) for action, tier, _ in commands} == {("stop", "web"), ("stop", "app")}
    assert not (srv / "web" / "version").exists()
