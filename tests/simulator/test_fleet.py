"""A fleet against a real Consul, judged by what sensors use."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.convergence import Converged, Failed
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.exceptions import ConsulUnavailable
from airflow_provider_chefconsul.simulator.plan import plan_fleet
from airflow_provider_chefconsul.simulator.registration import NameTaken
from tests.simulator.fleets import LONGEST, endings, look, start
from tests.support.factory import make_assignment

DONE = Standing.CONVERGED


@pytest.mark.parametrize("size", [1, 300])
async def test_tier_converges(cluster, consul_root, size):
    """Each node reports running, then its outcome; a second generation likewise; the catalog is empty afterwards."""
    async with start(cluster, consul_root, web=size) as trial:
        for release in ("1", "2"):
            verdict = await trial.judge(await trial.write(release=release))
            assert isinstance(verdict, Converged), verdict
            assert verdict.status.count(DONE) == size
        assert endings(trial, "web-1") == ["running", "succeeded"] * 2
    assert (await look(cluster, consul_root)).members == {}


async def test_tiers_converge_each_by_its_own_desired_state(cluster, consul_root):
    """What is desired of one is no business of the other."""
    async with start(cluster, consul_root, web=2, db=2) as trial:
        assert isinstance(await trial.judge(await trial.write("db"), "db"), Converged)
        assert {run.tier for run in trial.runs} == {"db"}


async def test_canary_is_followed_and_widened(cluster, consul_root):
    """Only the nodes that it covers run; those of the first wave do nothing in the second."""
    async with start(cluster, consul_root, web=6) as trial:
        await trial.judge(await trial.write())
        begun = len(trial.runs)
        generation = await trial.write(release="2", canary=2)
        assert isinstance(await trial.judge(generation), Converged)
        first = {run.node for run in trial.runs[begun:]}
        assert len(first) == 2
        begun = len(trial.runs)
        assert isinstance(await trial.judge(await trial.write(release="2")), Converged)
        assert {run.node for run in trial.runs[begun:]} == set(trial.fleet.plan.nodes) - first


async def test_failing_node_fails_the_wait(cluster, consul_root):
    """It is named, with the fault that was declared; another state is none of the fault's business."""
    async with start(cluster, consul_root, "web-2 fails in converged") as trial:
        assert isinstance(await trial.judge(await trial.write(state="off")), Converged)
        verdict = await trial.judge(await trial.write(), max_failed=0)
        assert isinstance(verdict, Failed)
        assert "1 of 3 members present failed (web-2)" in verdict.reason
        assert "the run was told to fail (web-2 fails in converged)" in describe_reason(verdict.status.nodes["web-2"])
        assert "web-2 fails (web-2 fails in converged)" in trial.lines


@pytest.mark.parametrize("fault", ["web-2 hangs", "web-2 is slow 9m"])
async def test_hanging_and_slow_nodes_stay_running(cluster, consul_root, fault):
    """The others converge meanwhile."""
    async with start(cluster, consul_root, fault) as trial:
        await trial.write()
        expected = {"web-1": DONE, "web-2": Standing.RUNNING, "web-3": DONE}
        await trial.until(lambda seen: seen == expected)
        assert endings(trial, "web-2") == ["running"]


async def test_malformed_report_is_named_and_stops_nobody_else(cluster, consul_root):
    """By its key."""
    async with start(cluster, consul_root, "web-2 reports malformed") as trial:
        await trial.write()
        expected = {"web-1": DONE, "web-2": Standing.MALFORMED, "web-3": DONE}
        snapshot = await trial.until(lambda seen: seen == expected)
        report = snapshot.evidence["web-2"].report
        assert isinstance(report, Unreadable)
        assert report.key == f"{consul_root}/demo/web/nodes/web-2"


async def test_reports_are_those_of_the_machines_in_the_catalog(cluster, consul_root):
    """A fleet of another seed has other machines: what the first ones reported is not theirs, and they run."""
    for seed in (1, 2):
        async with start(cluster, consul_root, seed=seed) as trial:
            await trial.write()
            _, entries = await trial.view.client.read("/v1/catalog/nodes")
            listed = {entry["Node"]: entry["ID"] for entry in entries if entry["Node"] in trial.fleet.plan.nodes}
            assert listed == {node: each.node_id for node, each in trial.fleet.plan.nodes.items()}
            async with asyncio.timeout(LONGEST):
                while await succeeded(trial) != listed:  # noqa: ASYNC110 - Consul tells
                    await asyncio.sleep(0.01)


async def succeeded(trial):
    """By node that has succeeded, the machine that its report is of."""
    evidence = (await trial.view.read("demo", "web")).evidence
    reports = {node: each.report for node, each in evidence.items() if isinstance(each.report, NodeReport)}
    return {node: report.node_id for node, report in reports.items() if report.status is Status.SUCCEEDED}


async def test_tier_that_is_declared_anew_is_run_anew(cluster, consul_root, consul_kv):
    """Its generation is the one that it had, its assignment is not."""
    async with start(cluster, consul_root) as trial:
        first = await trial.write()
        await trial.judge(first)
        for key in [key for key in consul_kv if "/nodes/" not in key]:
            del consul_kv[key]
        async with asyncio.timeout(LONGEST):
            while "demo/web: no desired state" not in trial.lines:  # noqa: ASYNC110 - the fleet tells
                await asyncio.sleep(0.01)
        assert await trial.write() == first
        assert isinstance(await trial.judge(first), Converged)
        assert endings(trial, "web-1") == ["running", "succeeded"] * 2


async def test_same_seed_gives_the_same_order_of_outcomes(cluster, consul_root):
    """The order in Consul is the one that the plan has, whatever the machine is busy with."""
    planned = plan_fleet({"web": 40}, seed=7, seconds=0.3)
    order = sorted(planned.nodes, key=lambda node: planned.nodes[node].run(make_assignment(1)).seconds)
    async with start(cluster, consul_root, seed=7, seconds=0.3, web=40) as trial:
        await trial.judge(await trial.write())
        ended = [run.node for run in trial.runs if run.ending == "succeeded"]
        assert ended == order
        record = await trial.view.read("demo", "web")
    written = {node: evidence.modify_index for node, evidence in record.evidence.items()}
    assert [written[node] for node in order] == sorted(written.values())


async def test_fleet_that_starts_again_does_not_run_what_it_has_reported(cluster, consul_root):
    """As a node that skips the run; a node that failed tries again."""
    async with start(cluster, consul_root, "web-2 fails") as trial:
        await trial.write()
        await trial.until(lambda seen: sorted(seen.values()) == [DONE, DONE, Standing.FAILED])
    async with start(cluster, consul_root) as trial:
        await trial.until(lambda seen: len(seen) == 3 and set(seen.values()) == {DONE})
        assert {run.node for run in trial.runs} == {"web-2"}


async def test_unreadable_desired_state_is_reported(cluster, consul_root, consul_kv):
    """By every node, as cookbooks do; a readable one mends it."""
    async with start(cluster, consul_root) as trial:
        consul_kv["demo/web/desired"] = "{"

        def has_failed(report):
            return isinstance(report, NodeReport) and (report.generation, report.status) == (None, "failed")

        while True:
            record = await trial.view.read("demo", "web")
            if sum(has_failed(evidence.report) for evidence in record.evidence.values()) == 3:
                break
            await asyncio.sleep(0.01)
        del consul_kv["demo/web/desired"]
        assert isinstance(await trial.judge(await trial.write()), Converged)


async def test_members_of_somebody_else_are_refused(cluster, consul_root, members):
    """And left as they are."""
    members("web-9", tier="web")
    with pytest.raises(NameTaken, match="web-9"):
        async with start(cluster, consul_root):
            pytest.fail("the fleet has started")
    assert list((await look(cluster, consul_root)).members) == ["web-9"]


async def test_error_of_a_running_fleet_reaches_whoever_runs_it(cluster, consul_root):
    """It ends, is_over says so, and its nodes have left the catalog."""

    def refuse(_line):
        raise BrokenPipeError

    async def run():
        async with start(cluster, consul_root, tell=refuse) as trial:
            await trial.write()
            async with asyncio.timeout(60):
                await trial.fleet.is_over.wait()

    with pytest.raises(BrokenPipeError):
        await run()
    assert (await look(cluster, consul_root)).members == {}


async def test_fleet_outlives_an_absence_of_consul(make_cluster, consul_root):
    """It goes on where it was, on the server's data."""
    cluster = make_cluster(in_memory=False)
    async with start(cluster, consul_root) as trial:
        await trial.judge(await trial.write())
        await asyncio.to_thread(cluster.kill_server)
        with pytest.raises(ConsulUnavailable):
            await trial.view.client.put(f"{consul_root}/x", "1", modify_index=0)
        await asyncio.to_thread(cluster.restart_server)
        generation = await trial.write(release="2")
        assert isinstance(await trial.judge(generation), Converged)
    assert (await look(cluster, consul_root)).members == {}
