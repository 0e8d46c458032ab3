"""What viewers are sent, against a real Consul: live, shared, and through its outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

from airflow_provider_chefconsul.consul.freeze import freeze, unfreeze
from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.freeze import make_freeze_entry
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.model.report import RunError, Status
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate
from airflow_provider_chefconsul.domain.write.pacing import parse_pacing
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.ui.feed import Hub
from airflow_provider_chefconsul.ui.source import watch_tier
from airflow_provider_chefconsul.ui.stream import stream
from demo.scene import Scene
from tests.support.airflow_home import connect
from tests.support.factory import make_lease
from tests.support.peer import Peer, forward_to
from tests.ui.viewers import PATIENCE, BoardUser, Reader, find_run_ends, until_idle


async def test_first_the_whole_and_then_what_changed(scene, hub, consul_connection):
    """A report of one node sends that node alone."""
    async with BoardUser(hub, "web") as viewer:
        whole = await viewer.until("tier")
        assert [each[:2] for each in whole["nodes"]] == [[f"web-{number}", "converged"] for number in (1, 2, 3)]
        await scene.fail("web", "web-2", error=RunError("Errno::ENOSPC", "No space left on device"))
        changed = await viewer.until("nodes")
    assert [each[:2] for each in changed["nodes"]] == [["web-2", "failed"]]
    assert changed["counts"] == {"converged": 2, "failed": 1}
    assert changed["explained"][0]["text"].startswith("failed converging generation 1")


async def test_ages_go_on_while_nothing_changes(scene, hub, consul_connection):
    """The lines of the explained nodes alone are sent again, once they say something else."""
    await scene.fail("web", "web-2", error=RunError("Errno::ENOSPC", "No space left on device"))
    async with BoardUser(hub, "web") as viewer:
        first = (await viewer.until("tier"))["explained"]
        later = await viewer.until("explained")
        latest = await viewer.until("explained")
    assert later.keys() == {"tier", "explained", "pace"}
    assert [each["node"] for each in latest["explained"]] == ["web-2"]
    texts = [explained[0]["text"] for explained in (first, later["explained"], latest["explained"])]
    assert all("failed converging generation 1" in text for text in texts)
    assert len(set(texts)) == len(texts)


async def test_a_rollout_is_followed(scene, hub, consul_connection):
    """From the declaration over runs to the last report, with the history that grows."""
    async with BoardUser(hub, "web") as viewer:
        await viewer.until("tier")
        await scene.declare("web", "converged", release="2.5.0")
        declared = await viewer.until("nodes", lambda fields: fields["counts"] == {"old_generation": 3})
        assert [each["generation"] for each in declared["history"]] == [2, 1]
        assert declared["curve"] == []
        await scene.report("web", "web-1", status=Status.RUNNING, finished_at=None)
        await viewer.until("nodes", lambda fields: fields["counts"].get("running") == 1)
        await scene.report("web", "web-1", "web-2", "web-3")
        done = await viewer.until("nodes", lambda fields: fields["counts"] == {"converged": 3})
    assert done["curve"][-1][1] == 3


async def test_tickets_are_followed(scene, hub, consul_connection):
    """The pace alone changes, and no cell, without a report."""
    await scene.declare("web", "converged", release="2.5.0", pacing=parse_pacing(1))
    async with BoardUser(hub, "web") as viewer:
        assert (await viewer.until("tier"))["pace"] == {"lines": ["1 at a time"], "stuck": []}
        await scene.queue("web", "web-1", held_for=timedelta())
        taken = await viewer.until("nodes")
        await scene.queue("web", "web-2")
        queued = await viewer.until("nodes")
    assert (taken["pace"]["lines"], taken["nodes"]) == (["1 at a time; in: web-1"], [])
    assert queued["pace"]["lines"] == ["1 at a time; in: web-1; 1 waits"]


async def test_the_board_rests_less_than_a_wait(monkeypatch, scene, hub, consul_connection):
    """Somebody is looking: where a wait lets minutes pass between two reads, a change still appears at once."""
    monkeypatch.setattr("airflow_provider_chefconsul.consul.watching.watch._REST_PER_ENTRY", 600.0)
    monkeypatch.setattr("airflow_provider_chefconsul.consul.watching.watch._LONGEST_REST", 600.0)
    async with BoardUser(hub, "web") as viewer:
        await viewer.until("tier")
        for node in ("web-1", "web-2"):
            await scene.report("web", node, status=Status.RUNNING, finished_at=None)
            await viewer.until("nodes", lambda fields, node=node: [each[0] for each in fields["nodes"]] == [node])


async def test_members_come_and_go(scene, hub, consul_connection, members, plain_consul):
    """One that joins is a node, one that leaves the catalog is gone."""
    async with BoardUser(hub, "web") as viewer:
        await viewer.until("tier")
        members("web-4")
        joined = await viewer.until("nodes", lambda fields: fields["members"] == 4)
        assert joined["nodes"] == [["web-4", "not_reported", 0, None, None, None]]
        plain_consul.catalog.deregister("web-1")
        left = await viewer.until("nodes", lambda fields: fields["gone"])
    assert left["gone"] == ["web-1"]
    assert left["strangers"] == ["web-1"]


async def test_a_lease_and_new_tiers_are_sent(scene, hub, consul_connection, consul_kv):
    """Who holds the environment changes what everybody may do."""
    async with BoardUser(hub, "web") as viewer:
        assert await viewer.until("environment") == {"environment": "demo", "tiers": ["web"], "lease": None}
        consul_kv["demo/_lease"] = make_lease().to_json()
        held = await viewer.until("environment", lambda fields: fields["lease"])
        assert held["lease"]["run_id"] == "manual__1"
        del consul_kv["demo/_lease"]
        await viewer.until("environment", lambda fields: fields["lease"] is None)
        await scene.declare("db", "off")
        await viewer.until("environment", lambda fields: fields["tiers"] == ["db", "web"])


async def test_what_is_done_is_sent(scene, hub, consul_connection, consul_kv):
    """The journal and the freeze, as they are and as they change; a spoilt entry hides no other."""
    consul_kv["demo/_journal/20261122T080000.000Z-000000000000"] = "no entry"
    async with BoardUser(hub, "web") as viewer:
        first = await viewer.until("journal")
        assert [each["act"] for each in first["entries"]] == ["declared"]
        assert first["freeze"] == {"problem": None, "entries": []}
        await freeze(scene.view, "demo", ["web"], make_freeze_entry(scene.writer, "party", None, now=datetime.now(UTC)))
        frozen = await viewer.until("journal")
        assert [each["tier"] for each in frozen["freeze"]["entries"]] == ["web"]
        assert [each["act"] for each in frozen["entries"]] == ["frozen", "declared"]
        await unfreeze(scene.view, "demo", None, scene.writer)
        free = await viewer.until("journal")
    assert free["freeze"]["entries"] == []
    assert free["entries"][0]["act"] == "unfrozen"


async def test_what_goes_on_is_sent_once_all_tiers_are_known(scene, hub, consul_connection):
    """Without the tier that has failed, all would look well for a moment."""
    await scene.declare("db", "off")
    is_known = asyncio.Event()

    async def watch_late():
        await is_known.wait()
        async for state in watch_tier("consul_default", "demo", "db"):
            yield state

    with hub.follow(("consul_default", "demo", "db"), watch_late, asyncio.Event()):
        async with BoardUser(hub, "web", "db") as viewer:
            await viewer.until("journal")
            if "tier" not in dict(viewer.events):
                await viewer.until("tier")
            is_known.set()
            situation = await viewer.until("situation")
    assert situation["tiers"].keys() == {"db", "web"}


async def test_the_end_of_a_dag_run_is_seen_though_nothing_changes_in_consul(
    scene, hub, consul_connection, monkeypatch
):
    """It is asked for again while its canary is out."""
    for module in ("run_ends", "stream"):
        monkeypatch.setattr(f"airflow_provider_chefconsul.ui.{module}.ASK_EVERY", 0.2)
    await scene.declare("web", "converged", canary=Wave.parse(1), wave=(1, 3), release="2.5.0")
    ends, run = {}, DagRun.of(scene.writer)
    async with BoardUser(hub, "web", ends=ends) as viewer:
        assert (await viewer.until("situation"))["rollouts"][0]["verdict"] == "going on"
        ends[run] = RunEnd(run, RunFate.FAILED)
        await viewer.until("situation", lambda fields: fields["rollouts"][0]["verdict"] == "orphaned")
        ends.clear()  # somebody has cleared the task
        await viewer.until("situation", lambda fields: fields["rollouts"][0]["verdict"] == "going on")


async def test_what_airflow_said_last_stands_while_it_does_not_answer(scene, hub, consul_connection, monkeypatch):
    """And what Consul knows is shown all the same."""
    for module in ("run_ends", "stream"):
        monkeypatch.setattr(f"airflow_provider_chefconsul.ui.{module}.ASK_EVERY", 0.2)
    await scene.declare("web", "converged", canary=Wave.parse(1), wave=(1, 3), release="2.5.0")
    run, asked = DagRun.of(scene.writer), []

    def ask(runs):
        asked.append(runs)
        return {run: RunEnd(run, RunFate.FAILED)} if len(asked) == 1 else None

    async def report_later():
        while len(asked) < 3:  # noqa: ASYNC110 - it is asked in a thread
            await asyncio.sleep(0.05)
        await scene.report("web", "web-1", "web-2", "web-3")

    async with BoardUser(hub, "web", ends=ask) as viewer:
        assert (await viewer.until("situation"))["rollouts"][0]["verdict"] == "orphaned"
        reporting = asyncio.create_task(report_later())
        await viewer.until("nodes")
        await reporting
    assert {fields["rollouts"][0]["verdict"] for name, fields in viewer.events if name == "situation"} == {"orphaned"}


async def test_a_run_that_lost_the_lease_has_left_its_canary(scene, hub, consul_connection, consul_kv):
    """As in `status`, whatever Airflow says of it."""
    await scene.declare("web", "converged", canary=Wave.parse(1), wave=(1, 3), release="2.5.0")
    keys, writer = scene.view.keys, scene.writer
    mark = keys.lost_lease("demo", writer.dag_id, writer.run_id).removeprefix(f"{keys.root}/")
    consul_kv[mark] = make_lease().to_json()
    async with BoardUser(hub, "web") as viewer:
        (line,) = (await viewer.until("situation"))["rollouts"]
    assert "lost the environment's lease" in line["wait"]


async def test_the_board_shows_the_end_of_the_journal(scene, hub, consul_connection, monkeypatch):
    """The page stays small."""
    monkeypatch.setattr("airflow_provider_chefconsul.ui.journal._SHOWN", 2)
    for release in ("2.5.0", "2.6.0"):
        await scene.declare("web", "converged", release=release)
    async with BoardUser(hub, "web") as viewer:
        entries = (await viewer.until("journal"))["entries"]
    assert [each["what"][0].partition(", ")[0] for each in entries] == [
        "web: declared generation 3",
        "web: declared generation 2",
    ]


async def test_each_viewer_sees_the_dags_that_it_may(scene, hub, consul_connection, consul_kv):
    """Two viewers of one feed: to the one, names of Dag runs are withheld."""
    consul_kv["demo/_lease"] = make_lease().to_json()
    async with BoardUser(hub, "web") as all_seeing, BoardUser(hub, "web", reader=Reader("other")) as restricted:
        assert (await all_seeing.until("environment"))["lease"]["dag_id"] == "shop_rollout"
        assert (await all_seeing.until("tier"))["desired"]["written_by"]["dag_id"] == "shop_rollout"
        await restricted.until("tier")
        if not any(name == "environment" for name, _ in restricted.events):
            await restricted.until("environment")
    assert "shop_rollout" not in str(restricted.events)
    assert "manual__" not in str(restricted.events)


async def test_many_viewers_cost_one_watch(scene, hub, monkeypatch, cluster, consul_root):
    """Counted where Consul is: viewers that come later ask it nothing, and the last one to leave ends the watch."""
    with Peer(forward_to(cluster.http_port)) as peer:
        connect(monkeypatch, peer.port, prefix=consul_root)

        def asked(path):
            return sum(path in request.target for request in peer.requests)

        async with BoardUser(hub, "web") as first:
            await first.until("tier")
            if not any(name == "journal" for name, _ in first.events):
                await first.until("journal")
            tree, listing, entries = asked("/demo/web/?"), asked("/health/state/any"), asked("/demo/_journal/2")
            others = [BoardUser(hub, "web") for _ in range(20)]
            for each in others:
                assert len((await each.until("tier"))["nodes"]) == 3
            assert asked("/demo/web/?") <= tree + 1  # the blocking query that the first one's watch had yet to ask
            await scene.report("web", "web-1", generation=0)
            for each in [first, *others]:
                await each.until("nodes", lambda fields: fields["counts"].get("old_generation") == 1)
            assert asked("/demo/web/?") <= tree + 3
            assert asked("/health/state/any") <= listing + 2
            assert asked("/demo/_journal/2") == entries  # each is read once, whoever looks
            for each in others:
                await each.__aexit__()
            assert not hub.is_idle
        await until_idle(hub)


async def test_an_outage_is_sent_and_its_end(make_cluster, hub, monkeypatch):
    """Consul is killed and comes back: viewers are told both, and what was reported after."""
    cluster = make_cluster(in_memory=False)
    connect(monkeypatch, cluster.http_port)
    async with ConsulClient(ConsulSettings("127.0.0.1", cluster.http_port)) as client:
        scene = Scene(SharedView(client), "demo")
        await scene.add_nodes("web", ["web-1", "web-2"])
        await scene.declare("web", "converged", release="2.4.0")
        async with BoardUser(hub, "web") as viewer:
            await viewer.until("tier")
            cluster.server.kill()
            trouble = await viewer.until("unavailable")
            assert "cannot be reached" in trouble["message"]
            cluster.server.start()
            cluster.wait_until_ready()
            await viewer.until("available")
            await scene.report("web", "web-1", "web-2")
            await viewer.until("nodes", lambda fields: fields["counts"] == {"converged": 2})


async def test_a_viewer_that_comes_during_an_outage_is_informed(hub, monkeypatch, free_port):
    """There is nothing to show yet, but why."""
    connect(monkeypatch, free_port)
    async with BoardUser(hub, "web") as viewer:
        assert "cannot be reached" in (await viewer.until("unavailable"))["message"]


def open_stream(hub: Hub, **options: float) -> AsyncGenerator[str]:
    """What the page opens."""
    return stream(hub, Reader(), "consul_default", "demo", ["web"], find_run_ends=find_run_ends({}), **options)


async def test_a_stream_ends_by_itself(scene, consul_connection):
    """The page comes again, and its permissions are looked at again."""
    hub = Hub()
    chunks = [each async for each in open_stream(hub, seconds=0.5)]
    assert chunks[0] == "retry: 200\n\n"
    assert any(each.startswith("event: tier\n") for each in chunks)
    await until_idle(hub)


async def test_a_new_stream_ends_the_trouble_that_the_page_may_show(scene, hub, consul_connection):
    """What one stream said is mended by the next, which has seen no trouble."""
    async with BoardUser(hub, "web") as viewer:
        await viewer.until("available")


async def test_one_who_takes_nothing_holds_nothing_open(scene, hub, consul_connection, monkeypatch):
    """A connection that is open and never read from."""
    from airflow_provider_chefconsul.ui.app import EventStream

    async def send(message: object) -> None:
        if isinstance(message, dict) and message["type"] == "http.response.body":
            await asyncio.Event().wait()

    monkeypatch.setattr(EventStream, "patience", 0.2)
    response = EventStream(open_stream(hub))
    async with asyncio.timeout(PATIENCE):
        await response.stream_response(send)
    await until_idle(hub)
