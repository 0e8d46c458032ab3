"""SetDesiredStateOperator with a canary, and with what guards a write: sequence and lease. Against a real Consul."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from itertools import pairwise

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import (
    EnvironmentLeased,
    InvalidInput,
    NoMembers,
    RequestTooLarge,
    WriteRefused,
)
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from tests.support.airflow_home import make_context, run_trigger
from tests.support.factory import make_failure, make_lease, make_report

pytestmark = pytest.mark.usefixtures("consul_connection")
NODES = [f"web-{number}" for number in range(1, 11)]


def declare(release="2.5.0", instance=None, **overrides):
    """Declare web converged at a release."""
    defaults = {"task_id": "set", "environment": "demo", "tier": "web", "state": "converged"}
    operator = SetDesiredStateOperator(**defaults | {"values": {"release": release}} | overrides)
    return operator.execute(make_context(**instance or {}))


@pytest.fixture
def tier(consul_kv, members):
    """Ten present members in two zones, and one that is absent, all assigned release 2.4.0."""
    for number, node in enumerate(NODES):
        members(node, check="passing", zone="ab"[number % 2])
    members("web-11", check="critical", zone="a")
    declare("2.4.0")
    return consul_kv


def covered(keys) -> list[str]:
    """The present nodes that the canary covers."""
    desired = DesiredState.from_json("desired", keys["demo/web/desired"])
    return [node for node in NODES if desired.canary is not None and desired.canary.has_node(node)]


@pytest.mark.parametrize(
    ("canary", "size"), [(1, 1), (3, 3), ("3", 3), ("10%", 1), ("1%", 1), ("11%", 2), (99, 10), (["web-2", "web-7"], 2)]
)
def test_canary_is_exact(tier, canary, size):
    """A number, a percentage of those present that is rounded up, or names; the others keep what they have."""
    assert declare(canary=canary) == {"web": 2}
    assert len(covered(tier)) == size
    desired = json.loads(tier["demo/web/desired"])
    assert desired["stable"].pop("id")
    assert desired["stable"] == {"generation": 1, "state": "converged", "values": {"release": "2.4.0"}}
    assert (desired["canary"]["generation"], desired["canary"]["values"]) == (2, {"release": "2.5.0"})
    assert tier["demo/_history/web/000000000002"] == tier["demo/web/desired"]


def test_widening_and_promotion_keep_the_generation(tier):
    """Each wave holds the one before; at the end all nodes are assigned the canary's generation."""
    waves = []
    for canary in (1, "25%", ["web-1", *NODES[5:]], "80%"):
        named = isinstance(canary, list)
        assert declare(canary=[*canary, *covered(tier)] if named else canary) == {"web": 2}
        waves.append(set(covered(tier)))
    assert all(narrow < wide for narrow, wide in pairwise(waves))
    assert declare() == {"web": 2}
    desired = json.loads(tier["demo/web/desired"])
    assert (desired["generation"], desired["stable"]["generation"], desired["canary"]) == (2, 2, None)
    assert [key for key in tier if "_history" in key] == [
        "demo/_history/web/000000000001",
        "demo/_history/web/000000000002",
    ]


def test_repeated_wave_writes_nothing(tier):
    """A retry of a wave, and a clear of an earlier one: a canary never narrows."""
    for canary in (1, "50%"):
        declare(canary=canary)
    before = dict(tier)
    for canary in ("50%", 1, covered(tier)):
        assert declare(instance={"try_number": 2}, canary=canary) == {"web": 2}
    assert dict(tier) == before


def test_declaring_what_the_others_have_takes_the_canary_back(tier):
    """Its nodes return to the generation that the others have kept."""
    declare(canary=2)
    assert declare("2.4.0") == {"web": 1}
    desired = json.loads(tier["demo/web/desired"])
    assert (desired["generation"], desired["stable"]["generation"], desired["canary"]) == (2, 1, None)
    assert declare(canary=2) == {"web": 3}, "a generation was given twice"


def test_spread_takes_zones_by_turns(tier):
    """Four nodes are two of each zone."""
    declare(canary=4, spread="meta:zone")
    zones = ["ab"[NODES.index(node) % 2] for node in covered(tier)]
    assert sorted(zones) == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    ("canary", "words"),
    [
        (["web-1", "web-99"], "demo/web: canary names nodes that are not members of the tier: web-99"),
        (["web-1"], "demo/web: a canary can only widen: also name .*, which it already covers"),
    ],
)
def test_canary_that_cannot_be_had(tier, canary, words):
    """It is refused with the nodes' names, and what stands, stands."""
    declare(canary=["web-2", "web-3"])
    before = dict(tier)
    with pytest.raises(WriteRefused, match=words):
        declare(canary=canary)
    assert dict(tier) == before


def test_canary_needs_somebody_present(consul_kv, members):
    """Without members it is an error, with absent ones only it is refused: a canary would prove nothing."""
    declare("2.4.0", allow_empty=True)
    before = dict(consul_kv)
    with pytest.raises(NoMembers, match="demo/web has no members"):
        declare(canary=1)
    members("web-1", check="critical")
    with pytest.raises(WriteRefused, match="demo/web: no member is present"):
        declare(canary=1)
    assert dict(consul_kv) == before


def test_canary_needs_others_with_a_state(consul_kv, members):
    """A tier that was never declared has nothing that the other nodes could keep."""
    members("web-1", "web-2")
    with pytest.raises(WriteRefused, match="demo/web: a canary needs a desired state that the other nodes keep"):
        declare(canary=1)
    assert dict(consul_kv) == {}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        *(
            ({"canary": canary}, "canary must be a number of nodes from 1")
            for canary in (0, -1, "0%", "101%", 1.5, True, {}, "", "ten")
        ),
        ({"canary": []}, "canary is an empty list"),
        ({"canary": ["web 1"]}, "node 'web 1' is not a name"),
        ({"canary": 1, "spread": "zone"}, "spread must be \"meta:KEY\", not 'zone'"),
        ({"canary": 1, "spread": "meta:"}, "spread must be"),
        ({"canary": ["web-1"], "spread": "meta:zone"}, "spread cannot be combined with a canary of named nodes"),
        ({"spread": "meta:zone"}, "spread requires canary"),
    ],
)
def test_bad_input_changes_nothing(tier, wrong, words):
    """One clear error that names the parameter."""
    before = dict(tier)
    with pytest.raises(InvalidInput, match=words):
        declare(**wrong)
    assert dict(tier) == before


@pytest.mark.parametrize("deferrable", [False, True])
def test_wait_is_for_the_canary_only(tier, deferrable, monkeypatch):
    """Nodes outside of it are not its business; a failure within it ends the task, blocking and deferred alike."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    operator = SetDesiredStateOperator(
        task_id="set",
        environment="demo",
        tier="web",
        state="converged",
        values={"release": "2.5.0"},
        canary=["web-1", "web-2"],
        wait=ConvergencePolicy(),
        deferrable=deferrable,
    )

    def run():
        try:
            return operator.execute(make_context())
        except TaskDeferred as deferred:
            assert deferrable
            event = asyncio.run(run_trigger(deferred.trigger))
            return getattr(operator, deferred.method_name)(make_context(), event)

    tier["demo/web/nodes/web-1"] = make_report("web-1", generation=2).to_json()
    tier["demo/web/nodes/web-2"] = make_failure("web-2", generation=2).to_json()
    with pytest.raises(AirflowFailException, match=r"1 of 10 members present failed \(web-2\); max_failed=0 is spent"):
        run()
    tier["demo/web/nodes/web-2"] = make_report("web-2", generation=2).to_json()
    assert run() == {"web": 2}


@pytest.mark.parametrize(("on_stale", "ending"), [("fail", AirflowFailException), ("skip", AirflowSkipException)])
@pytest.mark.parametrize("canary", [None, 1])
def test_stale_write_changes_nothing(tier, on_stale, ending, canary):
    """Failed or skipped, it names what it lost to; what stands already is no write, however late it is asked for."""
    declare("2.5.0", sequence=1900000000)
    before = dict(tier)
    with pytest.raises(
        ending, match="it belongs to sequence 2030-03-17T17:46:39Z, and generation 2 of sequence 2030-03-17T17:46:40Z"
    ):
        declare("2.4.9", sequence=1899999999, on_stale=on_stale, canary=canary)
    assert declare("2.5.0", sequence=1) == {"web": 2}
    assert dict(tier) == before


def test_lease_of_another_run_refuses_the_write(tier):
    """The error names who holds the environment, since when and why."""
    tier["demo/_lease"] = make_lease(holder=DagRun("other_rollout", "manual__9")).to_json()
    before = dict(tier)
    with pytest.raises(EnvironmentLeased, match="held by Dag other_rollout, run manual__9 since 2026-11-22T08:00:00Z"):
        declare()
    assert dict(tier) == before


def test_own_lease_is_renewed_by_the_write(tier, consul_root):
    """In the same transaction: its key has the ModifyIndex of the desired state."""
    tier["demo/_lease"] = make_lease().to_json()
    assert declare() == {"web": 2}
    _, entries = tier.client.kv.get(f"{consul_root}/demo/", recurse=True)
    indexes = {entry["Key"].rpartition("/")[2]: entry["ModifyIndex"] for entry in entries}
    assert indexes["_lease"] == indexes["desired"]
    assert json.loads(tier["demo/_lease"])["expires_at"] > make_lease().expires_at


def test_more_tiers_than_a_transaction_takes(consul_kv):
    """30 are written at once; 31 are refused with the reason, and none of them is written."""
    with pytest.raises(RequestTooLarge, match="31 tiers need 66 operations, but Consul takes at most 64 in one"):
        declare(tier=[f"tier-{number}" for number in range(31)], allow_empty=True)
    assert dict(consul_kv) == {}
    assert len(declare(tier=[f"tier-{number}" for number in range(30)], allow_empty=True)) == 30


def test_forced_waves_go_through(tier):
    """The content is the same for all; the waves after the first widen and promote the forced generation."""
    assert declare("2.4.0", {"task_id": "wave_1"}, canary=1, force=True) == {"web": 2}
    assert declare("2.4.0", {"task_id": "wave_1"}, canary=1, force=True) == {"web": 2}
    assert declare("2.4.0", {"task_id": "wave_2"}, canary="50%") == {"web": 2}
    assert len(covered(tier)) == 5
    assert declare("2.4.0", {"task_id": "wave_3"}) == {"web": 2}
    assert json.loads(tier["demo/web/desired"])["stable"]["generation"] == 2


@pytest.mark.parametrize("canary", [1, 2, "100%"])
def test_canary_of_listed_members_covers_no_others(tier, canary):
    """Other nodes read the same desired state, so the members are named."""
    listed = NODES[:3]
    declare(members=listed, canary=canary)
    assert set(covered(tier)) <= set(listed)
    assert len(covered(tier)) == (3 if canary == "100%" else canary)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"wait": "yes"}, "wait must be a ConvergencePolicy, not 'yes'"),
        ({"wait": timedelta(minutes=5)}, "wait must be a ConvergencePolicy"),
        ({"sequence": 1795593600000}, "sequence must be seconds since the epoch"),
        ({"sequence": "1795593600000"}, "sequence must be seconds since the epoch"),
    ],
)
def test_what_would_be_noticed_too_late(consul_kv, members, wrong, words):
    """Is refused before anything is written."""
    members("web-1")
    with pytest.raises(InvalidInput, match=words):
        declare(**wrong)
    assert dict(consul_kv) == {}
