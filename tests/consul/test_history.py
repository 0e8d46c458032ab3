"""The history of a tier on a real Consul: what it keeps, and rollbacks."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace

import pytest

from airflow_provider_chefconsul.consul.history_watch import watch_histories
from airflow_provider_chefconsul.consul.http.operation import Operation
from airflow_provider_chefconsul.consul.plan import HISTORY_KEPT
from airflow_provider_chefconsul.consul.write import steer, write
from airflow_provider_chefconsul.domain.write.decision import Unchanged
from airflow_provider_chefconsul.domain.write.rollback import RollBack
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import StaleWrite, WriteRefused
from tests.consul.keys import desired, generations
from tests.support.factory import make_assignment, make_change, make_desired, make_writer


def fill(kv, first: int, last: int) -> None:
    """A tier with these generations, each with its own release."""
    for generation in range(first, last + 1):
        stable = make_assignment(generation, values={"release": str(generation)})
        document = make_desired(generation, stable=stable, previous=generation - 1 or None).to_json()
        kv[f"demo/_history/web/{generation:012d}"] = kv["demo/web/desired"] = document


async def test_history_is_kept_to_a_bound(view, consul_kv, members):
    """The transaction that adds an entry deletes the oldest; a write that adds none deletes none."""
    members("web-1")
    fill(consul_kv, 1, HISTORY_KEPT)
    await write(view, "demo", {"web": make_change(state="off")})
    assert generations(consul_kv) == list(range(2, HISTORY_KEPT + 2))
    await write(view, "demo", {"web": make_change(state="waiting", canary=Wave.parse(1))})
    await write(view, "demo", {"web": make_change(state="waiting")})
    assert generations(consul_kv) == list(range(3, HISTORY_KEPT + 3))


async def test_longer_history_shrinks_by_and_by(view, consul_kv):
    """An older version kept more: each transaction deletes a few."""
    fill(consul_kv, 1, HISTORY_KEPT + 12)
    sizes = []
    for number in range(3):
        await write(view, "demo", {"web": make_change(values={"release": f"new-{number}"})})
        sizes.append(len(generations(consul_kv)))
    assert sizes == [HISTORY_KEPT + 5, HISTORY_KEPT, HISTORY_KEPT]
    assert generations(consul_kv)[-1] == HISTORY_KEPT + 15


async def test_rollback_beyond_the_history_says_what_there_is(view, consul_kv):
    """Pruned generations are gone; nothing is written."""
    fill(consul_kv, 11, 13)
    before = dict(consul_kv)
    with pytest.raises(
        WriteRefused, match="demo/web: generation 10 is not in .* history, which holds generations 11 t"
    ):
        await steer(view, "demo", ["web"], RollBack(make_writer(task_id="back"), to=10))
    assert dict(consul_kv) == before


async def test_history_as_it_was_written(view, consul_kv):
    """Oldest first, without unreadable entries and other keys."""
    fill(consul_kv, 9, 11)
    consul_kv["demo/_history/web/000000000010"] = "{"
    consul_kv["demo/_history/web/notes"] = make_desired().to_json()
    consul_kv["demo/_history/web-blue/000000000001"] = make_desired().to_json()
    found = await view.history("demo", "web")
    assert list(found) == [9, 11]
    assert found[11] == desired(consul_kv)
    assert await view.history("demo", "db") == {}


async def test_write_goes_on_above_a_history_that_cannot_be_read(view, consul_kv):
    """Even if the desired state was set back by hand and the newest entry is garbled, no generation is reused."""
    fill(consul_kv, 1, 5)
    consul_kv["demo/web/desired"] = consul_kv["demo/_history/web/000000000003"]
    consul_kv["demo/_history/web/000000000005"] = "{"
    decision = (await steer(view, "demo", ["web"], RollBack(make_writer(task_id="back")))).decisions["web"]
    assert decision.generation == 6
    assert (await write(view, "demo", {"web": make_change(state="off")})).generations["web"] == 7
    assert generations(consul_kv) == [1, 2, 3, 4, 5, 6, 7]


async def test_full_transaction_leaves_pruning_for_later(view, consul_kv):
    """Pruning never causes a write to be refused."""
    fill(consul_kv, 1, HISTORY_KEPT + 3)
    changes = {f"tier-{number}": make_change() for number in range(28)} | {"web": make_change(state="off")}
    await write(view, "demo", changes)
    assert len(generations(consul_kv)) == HISTORY_KEPT + 4 - 2


async def test_several_tiers_roll_back_at_once(view, consul_kv):
    """All or none: a stale tier prevents the rollback of the others."""
    both, rollback = ("web", "app"), RollBack(make_writer(task_id="back"))
    for release in ("2.5.0", "2.6.0"):
        await write(view, "demo", dict.fromkeys(both, make_change(values={"release": release})))
    for tier, sequence in (("web", None), ("app", 1763769601)):
        await write(view, "demo", {tier: make_change(values={"release": "2.7.0"}, sequence=sequence)})
    before = dict(consul_kv)
    with pytest.raises(StaleWrite, match="demo/app: the write is stale: it belongs to sequence 2025-11-22T00:00:00Z"):
        await steer(view, "demo", both, replace(rollback, sequence=1763769600))
    assert dict(consul_kv) == before
    decisions = (await steer(view, "demo", both, rollback)).decisions
    assert list(decisions) == list(both)
    assert {tier: decision.generation for tier, decision in decisions.items()} == {"web": 4, "app": 4}
    assert [desired(consul_kv, tier).stable.values for tier in both] == [{"release": "2.6.0"}] * 2
    assert (await steer(view, "demo", both, rollback)).decisions == {"web": Unchanged(4), "app": Unchanged(4)}


async def test_history_keeps_what_a_rollback_needs(view, consul_kv, members):
    """However many canaries were rolled back since the stable content was declared."""
    members("web-1", "web-2")
    await write(view, "demo", {"web": make_change()})
    for number in range(HISTORY_KEPT + 3):
        await write(view, "demo", {"web": make_change(values={"release": f"new-{number}"}, canary=Wave.parse(1))})
        await write(view, "demo", {"web": make_change()})
    assert len(generations(consul_kv)) == HISTORY_KEPT
    await write(view, "demo", {"web": make_change(state="off", canary=Wave.parse(1))})
    await write(view, "demo", {"web": make_change(state="off")})
    await steer(view, "demo", ["web"], RollBack(make_writer(task_id="back")))
    assert desired(consul_kv).stable.values == {"release": "2.5.0"}


@pytest.mark.parametrize(
    "number", ["9" * 5000, "\u0663" * 12, "-1", "", "1e3"], ids=["huge", "Arabic", "-1", "none", "e"]
)
async def test_history_key_that_is_no_generation(view, consul_kv, number):
    """It is ignored, and stops neither writes nor watches."""
    fill(consul_kv, 1, 2)
    # The key is longer than a URL may be here: it comes by a transaction.
    await view.client.transact([Operation.set_key(f"{view.keys.histories('demo', 'web')}{number}", b"{}")])
    assert list(await view.history("demo", "web")) == [1, 2]
    async with aclosing(watch_histories(view, "demo")) as watch:
        assert list((await anext(watch))["web"]) == [1, 2]
    await write(view, "demo", {"web": make_change(state="off")})
    assert desired(consul_kv).generation == 3
