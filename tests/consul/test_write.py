"""Writing desired states to a real Consul: the lease that fences writes, several tiers at once, waves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_chefconsul.consul.http.client import ConsulClient
from airflow_provider_chefconsul.consul.http.settings import ConsulSettings
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import steer, write
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.membership import ListedMembers, MetaMembers
from airflow_provider_chefconsul.domain.write.decision import Write
from airflow_provider_chefconsul.domain.write.rollback import RollBack
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import (
    EnvironmentLeased,
    MalformedDocument,
    RequestTooLarge,
    WriteRefused,
)
from tests.consul.keys import desired, generations
from tests.support.factory import make_assignment, make_canary, make_change, make_desired, make_lease, make_writer
from tests.support.peer import Answer, Peer, Request, forward_to

NEXT = {"release": "2.6.0"}
OTHERS = make_lease(holder=DagRun("nightly", "scheduled__1"), reason="")


def before_transaction(cluster, act) -> Peer:
    """A Consul in which something else happens before the first transaction."""
    forward, seen = forward_to(cluster.http_port), []

    def answer(request: Request) -> Answer:
        if request.path == "/v1/txn" and not seen:
            seen.append(request)
            act()
        return forward(request)

    return Peer(answer)


# The lease ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overrides", [{"state": "off"}, {}], ids=["another state", "what stands"])
async def test_no_other_write_passes_while_a_lease_is_held(view, consul_kv, overrides):
    """The error names holder, beginning and reason; nothing is written to any tier."""
    await write(view, "demo", {"web": make_change()})
    consul_kv["demo/_lease"] = OTHERS.to_json()
    before = dict(consul_kv)
    with pytest.raises(
        EnvironmentLeased,
        match="demo/app, web: environment demo is held by Dag nightly, run scheduled__1 since 2026-11-22T08:00:00Z",
    ):
        await write(view, "demo", {"app": make_change(), "web": make_change(**overrides)})
    with pytest.raises(EnvironmentLeased, match="held by Dag nightly"):
        await steer(view, "demo", ["web"], RollBack(make_writer(task_id="back")))
    assert dict(consul_kv) == before


async def test_lease_of_another_environment_does_not_matter(view, consul_kv):
    """Leases are per environment."""
    consul_kv["production/_lease"] = OTHERS.to_json()
    await write(view, "demo", {"web": make_change()})
    assert generations(consul_kv) == [1]


async def test_holders_write_renews_the_lease(view, consul_kv):
    """In the same transaction, by any task of the Dag run."""
    held = make_lease(acquired_at="2020-01-01T00:00:00Z", expires_at="2020-01-01T00:05:00Z")
    consul_kv["demo/_lease"] = held.to_json()
    await write(view, "demo", {"web": make_change(writer=make_writer(task_id="another", map_index=2))})
    renewed = Lease.from_json("key", consul_kv["demo/_lease"])
    assert renewed == replace(held, expires_at=renewed.expires_at)
    assert renewed.expires_at > desired(consul_kv).written_at
    before = consul_kv["demo/_lease"]
    await write(view, "demo", {"web": make_change()})  # stands already: no transaction, so no renewal either
    assert consul_kv["demo/_lease"] == before


@pytest.mark.parametrize("document", ["{", '{"schema": 2}', ""])
async def test_lease_that_cannot_be_read_lets_nobody_write(view, consul_kv, document):
    """Its holder is unknown; the error names the key."""
    consul_kv["demo/_lease"] = document
    with pytest.raises(MalformedDocument, match="demo/_lease"):
        await write(view, "demo", {"web": make_change()})
    assert dict(consul_kv) == {"demo/_lease": document}


@pytest.mark.parametrize("held", [None, make_lease()], ids=["none", "own"])
async def test_lease_taken_between_plan_and_write(cluster, consul_root, consul_kv, held):
    """Consul itself refuses a write planned before the lease changed hands."""
    if held:
        consul_kv["demo/_lease"] = held.to_json()
    with before_transaction(cluster, lambda: consul_kv.update({"demo/_lease": OTHERS.to_json()})) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port, root=consul_root)) as client:
            with pytest.raises(EnvironmentLeased, match="held by Dag nightly"):
                await write(SharedView(client), "demo", {"web": make_change()})
    assert dict(consul_kv) == {"demo/_lease": OTHERS.to_json()}


@pytest.mark.parametrize("is_released", [True, False], ids=["released", "renewed"])
async def test_own_lease_that_changes_between_plan_and_write(cluster, consul_root, consul_kv, is_released):
    """The holder's wait renews it, or another of its tasks releases it: the write is planned again."""
    consul_kv["demo/_lease"] = make_lease().to_json()

    def change() -> None:
        if is_released:
            del consul_kv["demo/_lease"]
        else:
            consul_kv["demo/_lease"] = make_lease(expires_at="2026-11-22T09:00:00Z").to_json()

    with before_transaction(cluster, change) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port, root=consul_root)) as client:
            await write(SharedView(client), "demo", {"web": make_change()})
        assert len([request for request in peer.requests if request.path == "/v1/txn"]) == 2
    assert generations(consul_kv) == [1]
    assert ("demo/_lease" in consul_kv) == (not is_released)


# Several tiers --------------------------------------------------------------------------------------------------------


async def test_as_many_tiers_as_consul_takes_in_one_transaction(view, consul_kv):
    """Thirty at once; one more is refused before anything is sent."""
    tiers = [f"tier-{number}" for number in range(31)]
    with pytest.raises(RequestTooLarge, match="31 tiers need 66 operations, but Consul takes at most 64 in one"):
        await write(view, "demo", dict.fromkeys(tiers, make_change()))
    assert dict(consul_kv) == {}
    await write(view, "demo", dict.fromkeys(tiers[1:], make_change()))
    assert sum(key.endswith("/desired") for key in consul_kv) == 30
    # What stands already takes none.
    await write(view, "demo", dict.fromkeys(tiers, make_change()))
    assert sum(key.endswith("/desired") for key in consul_kv) == 31


# Canaries -------------------------------------------------------------------------------------------------------------


async def test_rollout_in_waves(view, consul_kv, members):
    """Members come from Consul; widening and promoting add nothing to the history."""
    members("web-1", "web-2", "web-3", "web-4", rack="r1")
    await write(view, "demo", {"web": make_change()})
    selectors = {"web": MetaMembers("rack", "r1")}
    covered = []
    for canary in (Wave.parse(1), Wave.parse("50%"), Wave.parse("50%"), Wave.parse("100%"), None):
        change = make_change(values=NEXT, canary=canary)
        decision = (await write(view, "demo", {"web": change}, selectors)).decisions["web"]
        assert decision.generation == 2
        found = desired(consul_kv)
        covered.append(sum(found.assignment_for(f"web-{number}").generation == 2 for number in range(1, 5)))
    assert covered == [1, 2, 2, 4, 4]
    assert generations(consul_kv) == [1, 2]
    assert (found.stable.values, found.canary, found.previous) == (NEXT, None, 1)
    with pytest.raises(WriteRefused, match="demo/web: no member is present, so a canary would prove nothing"):
        await write(
            view, "demo", {"web": make_change(state="off", canary=Wave.parse(1))}, {"web": ListedMembers(("web-9",))}
        )


@pytest.mark.parametrize("is_applied", [True, False], ids=["answer lost", "request lost"])
async def test_lost_promotion_is_made_once(cluster, consul_root, consul_kv, is_applied):
    """It has no history entry, so the current state shows whether it was made."""
    forward = forward_to(cluster.http_port)
    transactions: list[Request] = []
    out = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    consul_kv["demo/web/desired"] = out.to_json()

    def lose_first_transaction(request: Request) -> Answer | None:
        if request.path == "/v1/txn":
            transactions.append(request)
            if len(transactions) == 1:
                if is_applied:
                    assert forward(request).status == 200
                return None
        return forward(request)

    with Peer(lose_first_transaction) as peer:
        async with ConsulClient(ConsulSettings("127.0.0.1", peer.port, root=consul_root)) as client:
            decision = (await write(SharedView(client), "demo", {"web": make_change(values=NEXT)})).decisions["web"]
    assert isinstance(decision, Write)
    assert (decision.generation, decision.is_new) == (8, False)
    assert decision.desired == desired(consul_kv)
    assert len(transactions) == (1 if is_applied else 2)
    assert generations(consul_kv) == []
