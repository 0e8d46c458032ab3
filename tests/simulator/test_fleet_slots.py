"""A fleet keeps to the slots and the splay of its desired state, on a real Consul."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import accumulate

from airflow_provider_chefconsul.consul.slots import free, read_queue
from airflow_provider_chefconsul.consul.write import write
from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.ticket import Ticket
from airflow_provider_chefconsul.domain.verdict.convergence import Converged
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.write.change import Change
from airflow_provider_chefconsul.domain.write.pacing import parse_pacing
from tests.simulator.fleets import ENVIRONMENT, LONGEST, Trial, start
from tests.support.factory import make_writer


async def declare(trial: Trial, *, release: str = "1", **pace: object) -> Assignment:
    """Declare a release of web at a pace."""
    change = Change("converged", make_writer(), {"release": release}, pacing=parse_pacing(**pace))
    planned = await write(trial.view, ENVIRONMENT, {"web": change})
    (desired,) = (await trial.view.desired(ENVIRONMENT, ["web"])).values()
    assert desired is not None
    return desired.assignment_at(planned.generations["web"])


def most_at_once(trial: Trial) -> int:
    """How many runs were under way at one time."""
    steps = [1 if run.ending == "running" else -1 for run in trial.runs]
    return max(accumulate(steps))


async def test_never_more_runs_than_slots(cluster, consul_root):
    """All converge; nobody has a ticket afterwards, and runs that need no slot take none."""
    async with start(cluster, consul_root, web=7, seconds=0.05) as trial:
        assignment = await declare(trial, slots=2)
        assert isinstance(await trial.judge(assignment.generation), Converged)
        assert most_at_once(trial) == 2
        async with asyncio.timeout(LONGEST):
            while await read_queue(trial.view, ENVIRONMENT, "web"):  # noqa: ASYNC110 - in Consul
                await asyncio.sleep(0.05)


async def test_waiting_nodes_say_so(cluster, consul_root):
    """A node that hangs inside keeps the slot; the others wait behind it, and go on once there is no limit."""
    async with start(cluster, consul_root, "1 of web hang", web=3) as trial:
        (hanging,) = [node for node, plan in trial.fleet.plan.nodes.items() if plan.faults]
        assignment = await declare(trial, slots=1)
        # Whoever came first has converged; the hanging one comes in its turn.
        snapshot = await trial.until(
            lambda seen: (
                seen[hanging] is Standing.RUNNING
                and all(
                    each in {Standing.WAITING, Standing.CONVERGED} for node, each in seen.items() if node != hanging
                )
            )
        )
        for node, evidence in snapshot.evidence.items():
            if evidence.report.status == "waiting":
                assert evidence.report.waits_for.of == 1
                assert node != hanging
        assert (await declare(trial)).generation == assignment.generation
        await trial.until(
            lambda seen: all(each is Standing.CONVERGED for node, each in seen.items() if node != hanging)
        )


async def test_failures_stop_a_release_by_themselves(cluster, consul_root):
    """Nobody begins after as many failures as slots; a person frees one, and a good release is begun by these."""
    async with start(cluster, consul_root, "web-* fails with release=1", web=4) as trial:
        await declare(trial, slots=2)
        await trial.until(lambda seen: sorted(seen.values()) == ["failed", "failed", "waiting", "waiting"])
        failed = [each.node for each in await read_queue(trial.view, ENVIRONMENT, "web") if _is_failed(each.ticket)]
        assert len(failed) == 2
        assert await free(trial.view, ENVIRONMENT, "web", failed[0], make_writer())
        await trial.until(lambda seen: sorted(seen.values()) == ["failed", "failed", "failed", "waiting"])
        good = await declare(trial, release="2", slots=2)
        assert isinstance(await trial.judge(good.generation), Converged)
        again = [run.node for run in trial.runs if run.assignment.generation == good.generation]
        assert again.index(failed[1]) < 4


def _is_failed(ticket: object) -> bool:
    return isinstance(ticket, Ticket) and ticket.is_failed


async def test_nodes_begin_at_moments_of_their_own(cluster, consul_root):
    """In the order and about at the distance that the assignment gives them."""
    async with start(cluster, consul_root, web=5) as trial:
        loop = asyncio.get_running_loop()
        begun: dict[str, float] = {}
        trial.fleet._on_run = lambda run: begun.setdefault(run.node, loop.time())
        assignment = await declare(trial, spread_over=timedelta(seconds=3))
        assert isinstance(await trial.judge(assignment.generation), Converged)
        delays = {node: assignment.delay_of(node) for node in begun}
        assert sorted(begun, key=begun.__getitem__) == sorted(delays, key=delays.__getitem__)
        assert max(begun.values()) - min(begun.values()) >= (max(delays.values()) - min(delays.values())) * 0.9
