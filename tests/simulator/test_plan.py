"""What a fleet consists of, and whom its faults hit."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.simulator.fault import Kind
from airflow_provider_chefconsul.simulator.plan import FleetPlan, plan_fleet
from tests.support.factory import make_assignment


def hit(plan: FleetPlan, kind: Kind = Kind.FAILS) -> list[str]:
    """The nodes that have a fault of that kind."""
    return [node for node, each in plan.nodes.items() if each.faults_of(kind)]


def order_of_ends(plan: FleetPlan, generation: int) -> list[str]:
    """The nodes in the order in which their runs of one generation end."""
    return sorted(plan.nodes, key=lambda node: plan.nodes[node].run(make_assignment(generation)).seconds)


def test_nodes_are_numbered_within_their_tier():
    """In order, by tier."""
    plan = plan_fleet({"web": 3, "db": 1})
    assert {tier: [node.node for node in nodes] for tier, nodes in plan.tiers.items()} == {
        "web": ["web-1", "web-2", "web-3"], "db": ["db-1"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "nodes"),
    [
        ("web-2 fails", ["web-2"]),
        ("web-* fails", ["web-1", "web-2", "web-3", "web-4"]),
        ("*-1 fails", ["web-1", "db-1"]),
        ("100% of db fail", ["db-1", "db-2"]),
        ("0% of db fail", []),
        ("0 of db fail", []),
    ],
)
def test_fault_hits_whom_it_names(fault, nodes):
    """A node, a pattern, or a share."""
    assert hit(plan_fleet({"web": 4, "db": 2}, [fault])) == nodes


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("web-5 fails", "no node web-5; the fleet has web-1 to web-4, db-1"),
        ("app-* fails", "no node app-*"),
        ("10% of app fail", "no tier app; the fleet has web, db"),
        ("101% of web fail", "not '101%'"),
        ("5 of web fail", "tier web has only 4 nodes"),
        ("web-1 returns at 3s", "web-1 never goes absent or leaves"),
    ],
)
def test_fault_without_a_node_is_named(fault, why):
    """Also when the other faults are in order."""
    with pytest.raises(InvalidInput) as caught:
        plan_fleet({"web": 4, "db": 1}, ["web-1 fails", fault])
    assert repr(fault) in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "faults",
    [
        ["web-1 joins at 1s", "web-* joins at 2s"],
        ["web-1 flaps every 1s", "web-1 flaps every 2s"],
        ["web-1 flaps every 1s", "web-1 goes absent at 2s"],
        ["web-1 flaps every 1s", "web-1 leaves at 2s"],
        ["web-1 flaps every 1s", "web-1 dies after converging"],
        ["web-1 flaps every 1s", "web-1 reboots 2s"],
    ],
)
def test_faults_that_contradict_each_other_are_refused(faults):
    """A node can join once, and flap in one rhythm."""
    with pytest.raises(InvalidInput, match="web-1"):
        plan_fleet({"web": 2}, faults)


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"tiers": {}}, "at least one tier"),
        ({"tiers": {"web": 0}}, "1 to 100000 nodes, not 0"),
        ({"tiers": {"web": "3"}}, "not '3'"),
        ({"tiers": {"web/1": 3}}, "tier 'web/1' is not a name"),
        ({"tiers": {"w" * 127: 10}}, "is not a name"),
        ({"tiers": {"web": 12, "web-1": 2}, "faults": ["web-1-1 fails"]}, None),
        ({"seconds": -1}, "seconds"),
        ({"seconds": float("nan")}, "seconds"),
        ({"spread": 1.5}, "spread"),
    ],
)
def test_parameters_are_checked(parameters, why):
    """Each error names the parameter; None is for what is no error."""
    if why is None:
        assert plan_fleet(**parameters).nodes
        return
    with pytest.raises(InvalidInput) as caught:
        plan_fleet(**({"tiers": {"web": 3}} | parameters))
    assert why in str(caught.value)


SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.integers(1, 300), st.integers(0, 100), st.integers(1, 9))
def test_same_seed_gives_the_same_nodes_and_the_same_order(seed, size, percent, generation):
    """Whom a share hits and in which order runs end depend on the seed alone; a share is rounded up."""
    faults = [f"{percent}% of web fail in converged", f"{percent}% of web are slow 2s"]
    first, second = (plan_fleet({"web": size}, faults, seed=seed) for _ in range(2))
    assert first.nodes == second.nodes
    assert order_of_ends(first, generation) == order_of_ends(second, generation)
    assert len(hit(first)) == -(-size * percent // 100)


@given(SEEDS, st.integers(1, 50), st.integers(1, 50))
def test_another_tier_changes_nothing_for_this_one(seed, size, other):
    """What a share of web hits is no matter of how many nodes db has."""
    alone = plan_fleet({"web": size}, ["20% of web fail"], seed=seed)
    together = plan_fleet({"db": other, "web": size}, ["20% of web fail"], seed=seed)
    assert alone.tiers["web"] == together.tiers["web"]


def test_other_seeds_choose_other_nodes():
    """And give another order; 20 seeds for 3 of 50 nodes all alike would be no choice at all."""
    plans = [plan_fleet({"web": 50}, ["3 of web fail"], seed=seed) for seed in range(20)]
    assert len({tuple(hit(plan)) for plan in plans}) > 10
    assert len({tuple(order_of_ends(plan, 1)) for plan in plans}) == 20


@given(SEEDS, st.floats(0, 100), st.floats(0, 1), st.integers(1, 9))
def test_runs_take_the_mean_give_or_take_the_spread(seed, seconds, spread, generation):
    """Never less than nothing."""
    run = (
        plan_fleet({"web": 1}, seed=seed, seconds=seconds, spread=spread)
        .nodes["web-1"]
        .run(make_assignment(generation))
    )
    assert max(0, seconds * (1 - spread) - 1e-9) <= run.seconds <= seconds * (1 + spread) + 1e-9


def test_slow_adds_to_a_run_and_the_first_other_fault_ends_it():
    """Faults of other assignments do not count."""
    faults = ["web-1 hangs in off", "web-1 is slow 20s", "web-1 fails in converged", "web-1 reports malformed"]
    node = plan_fleet({"web": 1}, faults, seconds=0).nodes["web-1"]
    run = node.run(make_assignment(state="converged"))
    assert (run.seconds, run.fault and run.fault.kind) == (20, Kind.FAILS)
    ends = [node.run(make_assignment(state=state)).fault for state in ("off", "waiting")]
    assert [fault and fault.kind for fault in ends] == [Kind.HANGS, Kind.MALFORMED]


@pytest.mark.parametrize("away", ["goes absent at 1s", "leaves at 1s", "dies after converging"])
def test_node_that_is_away_can_return(away):
    """However it went."""
    kinds = [
        fault.kind for fault in plan_fleet({"web": 1}, [f"web-1 {away}", "web-1 returns at 2s"]).nodes["web-1"].faults
    ]
    assert kinds[1] is Kind.RETURNS


def test_run_after_a_reboot_goes_as_the_other_faults_say():
    """The second run of an assignment does not reboot the node again."""
    node = plan_fleet({"web": 1}, ["web-1 reboots 5s", "web-1 is slow 2s", "web-1 fails"], seconds=0).nodes["web-1"]
    runs = [node.run(make_assignment(), has_rebooted=has_rebooted) for has_rebooted in (False, True)]
    assert [(run.seconds, run.fault and run.fault.kind) for run in runs] == [(2, Kind.REBOOTS), (2, Kind.FAILS)]


def test_machines_have_ids_of_their_own():
    """The same for a seed and a name, whatever else the fleet has."""
    ids = {node: each.node_id for node, each in plan_fleet({"web": 3, "db": 1}).nodes.items()}
    assert len(set(ids.values())) == 4
    assert all(str(UUID(node_id)) == node_id for node_id in ids.values())
    assert plan_fleet({"web": 1}, ["web-1 fails"]).nodes["web-1"].node_id == ids["web-1"]
    assert plan_fleet({"web": 1}, seed=1).nodes["web-1"].node_id != ids["web-1"]
