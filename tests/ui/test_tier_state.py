"""What viewers share of a tier: a cell for each node."""

from __future__ import annotations

from airflow_provider_chefconsul.domain.model.snapshot import TierSnapshot
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.ui.tier_state import changed_cells, next_state
from tests.support.factory import make_canary, make_desired, make_failure, make_members, make_report, make_snapshot


def state_of(snapshot, before=None):
    """The state by a snapshot."""
    return next_state("demo", "web", snapshot, {}, before)


def cells_of(state):
    """All cells."""
    return changed_cells(None, state.status)[0]


def test_a_cell_says_where_its_node_stands_and_what_it_reports():
    """Converged, failed, absent, and one that never reported."""
    snapshot = make_snapshot(make_report("web-1"), make_failure("web-2"), absent=("web-4",))
    assert cells_of(state_of(snapshot)) == {
        "web-1": ["converged", 0, 7, "converged", "succeeded"],
        "web-2": ["failed", 0, 7, "converged", "failed"],
        "web-3": ["not_reported", 0, None, None, None],
        "web-4": ["absent", 0, None, None, None],
    }


def test_a_cell_says_whether_the_canary_covers_its_node():
    """And judges it by the canary's assignment."""
    desired = make_desired(8, stable=make_desired().stable, canary=make_canary(8))
    cells = cells_of(state_of(make_snapshot(make_report("web-1"), make_report("web-2"), desired=desired)))
    assert cells["web-1"] == ["old_generation", 1, 7, "converged", "succeeded"]
    assert cells["web-2"] == ["converged", 0, 7, "converged", "succeeded"]


def test_nodes_have_cells_even_where_nothing_is_desired():
    """With what they report, and without a standing."""
    for desired in (None, Unreadable("k", "spoilt")):
        cells = cells_of(state_of(make_snapshot(make_report("web-1"), desired=desired)))
        assert cells["web-1"] == [None, 0, 7, "converged", "succeeded"]
        assert cells["web-2"] == [None, 0, None, None, None]


def test_cells_are_in_the_order_that_people_expect():
    """web-9 before web-10."""
    snapshot = TierSnapshot(make_desired(), make_members("web-10", "web-9", "web-1"))
    assert list(cells_of(state_of(snapshot))) == ["web-1", "web-9", "web-10"]


def test_only_what_changed_is_a_new_cell():
    """The others are the same objects, so that a viewer is sent one node of thousands."""
    first = make_snapshot(make_report("web-1"), make_report("web-2"))
    before = state_of(first)
    second = TierSnapshot(
        first.desired, first.members, {**first.evidence, "web-3": make_snapshot(make_report("web-3")).evidence["web-3"]}
    )
    after = state_of(second, before)
    changed, gone = changed_cells(before.status, after.status)
    assert (list(changed), gone) == (["web-3"], [])
    assert after.status.nodes["web-1"] is before.status.nodes["web-1"]


def test_a_report_that_says_the_same_again_changes_no_cell():
    """Nodes run Chef on an interval."""
    before = state_of(make_snapshot(make_report("web-1")))
    after = state_of(make_snapshot(make_report("web-1", run_id="4040")), before)
    assert changed_cells(before.status, after.status) == ({}, [])


def test_a_new_desired_state_judges_every_node_anew():
    """Although no evidence changed."""
    first = make_snapshot(make_report("web-1"))
    before = state_of(first)
    after = state_of(TierSnapshot(make_desired(8), first.members, first.evidence), before)
    assert after.status.nodes["web-1"].standing is Standing.OLD_GENERATION


def test_a_member_that_is_lost_or_leaves_is_told():
    """The first as a change, the second as gone."""
    first = make_snapshot(make_report("web-1"), make_report("web-2"))
    before = state_of(first)
    after = state_of(TierSnapshot(first.desired, make_members("web-3", absent=("web-1",)), first.evidence), before)
    changed, gone = changed_cells(before.status, after.status)
    assert {node: cell[0] for node, cell in changed.items()} == {"web-1": Standing.LOST}
    assert gone == ["web-2"]
