"""A fleet against a real Consul: what a wait makes of nodes that go and come back."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from tests.simulator.fleets import endings, start

DONE = Standing.CONVERGED


async def test_absent_node_is_excused_and_catches_up_when_it_is_back(cluster, consul_root):
    """It has missed two states, and runs the newest."""
    async with start(cluster, consul_root, "web-2 goes absent in off", "web-2 returns in converged") as trial:
        await trial.judge(await trial.write(state="waiting"))
        generation = await trial.write(state="off")
        await trial.until(lambda seen: seen.get("web-2") is Standing.ABSENT)  # else the wait sees it alive, and lost
        verdict = await trial.judge(generation)
        assert isinstance(verdict, Converged)
        assert verdict.status.nodes["web-2"].standing is Standing.ABSENT
        generation = await trial.write()
        await trial.until(lambda seen: set(seen.values()) == {DONE} and len(seen) == 3)
        assert isinstance(await trial.judge(generation, max_absent=0), Converged)
        states = [run.assignment.state for run in trial.runs if run.node == "web-2"]
        assert states == ["waiting", "waiting", "converged", "converged"]


async def test_node_that_goes_absent_during_a_wait_is_lost(cluster, consul_root):
    """A wait that has seen it alive does not excuse it."""
    async with start(cluster, consul_root, "web-2 goes absent in off") as trial:
        generation = await trial.write(state="off")
        await trial.until(lambda seen: seen.get("web-2") is Standing.ABSENT)
        verdict = await trial.judge(generation, seconds=0.5, seen=["web-2"])
        assert isinstance(verdict, Failed)
        assert "1 of 3 members present are lost (web-2)" in verdict.reason


@pytest.mark.parametrize("fault", ["web-2 dies after converging with release=2", "web-2 reboots 9m with release=2"])
async def test_node_that_dies_of_a_release_is_lost(cluster, consul_root, fault):
    """It holds a wait up until the deadline, whatever it has reported; a policy can allow it."""
    async with start(cluster, consul_root, fault) as trial:
        assert isinstance(await trial.judge(await trial.write()), Converged)
        generation = await trial.write(release="2")
        await trial.until(lambda seen: seen == {"web-1": DONE, "web-2": Standing.LOST, "web-3": DONE})
        verdict = await trial.judge(generation, seconds=0.5)
        assert isinstance(verdict, Failed)
        assert verdict.is_timeout
        assert "1 of 3 members present are lost (web-2)" in verdict.reason
        assert isinstance(await trial.judge(generation, max_lost=1, min_converged=2), Converged)


async def test_node_that_leaves_is_excused(cluster, consul_root):
    """It counts as one that is not there; back again, it catches up."""
    faults = ["web-2 leaves in off", "web-2 returns in converged"]
    async with start(cluster, consul_root, *faults) as trial:
        assert isinstance(await trial.judge(await trial.write(state="waiting")), Converged)
        generation = await trial.write(state="off")
        await trial.until(lambda seen: seen == {"web-1": DONE, "web-3": DONE})
        verdict = await trial.judge(generation, seen=["web-2"])
        assert isinstance(verdict, Converged)
        assert verdict.status.nodes["web-2"].standing is Standing.LEFT
        verdict = await trial.judge(generation, seconds=0.5, seen=["web-2"], max_absent=0)
        assert isinstance(verdict, Failed)
        assert "1 of 3 members are absent or have left (web-2)" in verdict.reason
        generation = await trial.write()
        await trial.until(lambda seen: len(seen) == 3 and set(seen.values()) == {DONE})
        assert isinstance(await trial.judge(generation, max_absent=0), Converged)


async def test_node_that_reboots_is_waited_for(cluster, consul_root):
    """It is away with its run half done, and comes back to end it."""
    async with start(cluster, consul_root, "web-2 reboots 1s in converged") as trial:
        verdict = await trial.judge(await trial.write(), max_absent=0)
        assert isinstance(verdict, Converged)
        assert verdict.status.count(DONE) == 3
        assert endings(trial, "web-2") == ["running", "rebooting", "running", "succeeded"]
        report = (await trial.view.read("demo", "web")).evidence["web-2"].report
        assert isinstance(report, NodeReport)
        assert report.previous_status is Status.REBOOTING


async def test_nodes_come_and_go_by_the_clock(cluster, consul_root):
    """Absent, back and joining without any desired state."""
    faults = ["web-1 goes absent at 0s", "web-2 goes absent at 0s", "web-2 returns at 20ms", "web-3 joins at 40ms"]
    async with start(cluster, consul_root, *faults) as trial:
        there = Standing.NOT_REPORTED
        await trial.until(lambda seen: seen == {"web-1": Standing.ABSENT, "web-2": there, "web-3": there})
        assert trial.lines.index("web-2 goes absent") < trial.lines.index("web-2 returns")
        assert "web-3 joins" in trial.lines


async def test_node_that_joins_is_no_member_before(cluster, consul_root):
    """Then it converges like the others."""
    async with start(cluster, consul_root, "web-3 joins in converged") as trial:
        assert isinstance(await trial.judge(await trial.write(state="off")), Converged)
        assert list(await read_members(trial.view.client, ServiceMembers("web"))) == ["web-1", "web-2"]
        await trial.write()
        await trial.until(lambda seen: len(seen) == 3 and set(seen.values()) == {DONE})


async def test_flapping_node_is_absent_and_back_again_and_again(cluster, consul_root):
    """Consul says so each time."""
    async with start(cluster, consul_root, "web-2 flaps every 50ms") as trial:
        await trial.judge(await trial.write())
        for standing in (Standing.LOST, DONE) * 2:  # what it has reported stands
            await trial.until(lambda seen, wanted=standing: seen.get("web-2") is wanted)
