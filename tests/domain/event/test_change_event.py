"""Which generations a watcher reports."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.event.change_event import find_changes, newest_generations
from airflow_provider_chefconsul.domain.event.cursor import is_ahead, read_cursor
from tests.support.factory import make_assignment, make_canary, make_desired


def make_history(*generations: int):
    """A tier's history with these generations."""
    return {generation: make_desired(generation) for generation in generations}


def reported(events) -> list[tuple[str, int, int]]:
    """Tier, generation and number of missed generations of each event."""
    return [(event.tier, event.generation, event.missed) for event in events]


def test_each_generation_beyond_the_cursor_is_reported():
    """In order, even if several were written since."""
    events = find_changes("demo", {"web": make_history(3, 1, 2, 4)}, {"web": 2}, None)
    assert reported(events) == [("web", 3, 0), ("web", 4, 0)]


def test_new_tier_is_reported_from_its_first_generation():
    """A tier declared after the watcher started is in no cursor."""
    assert reported(find_changes("demo", {"web": make_history(1)}, {"db": 7}, None)) == [("web", 1, 0)]


def test_other_tiers_are_not_reported():
    """A watcher of one tier shares its stream with watchers of others."""
    histories = {"web": make_history(1), "db": make_history(1)}
    assert reported(find_changes("demo", histories, {}, ["db"])) == [("db", 1, 0)]
    assert newest_generations(histories, ["db"]) == {"db": 1}


def test_gap_is_counted():
    """Generations that the history no longer has count as missed; the next event says how many."""
    events = find_changes("demo", {"web": make_history(3, 51, 52, 54)}, {"web": 3}, None)
    assert reported(events) == [("web", 51, 47), ("web", 52, 0), ("web", 54, 1)]


def test_payload_of_a_stable_generation():
    """It has the assignment, its writer, and a key that is the same each time it is sent."""
    (event,) = find_changes("demo", {"web": make_history(7)}, {"web": 6}, None)
    assert event.to_payload() == {
        "event": "desired_state_changed",
        "key": "demo/web@7",
        "environment": "demo",
        "tier": "web",
        "generation": 7,
        "state": "converged",
        "values": {"release": "2.5.0"},
        "canary": False,
        "written_by": {"dag_id": "shop_rollout", "run_id": "manual__1", "task_id": "web.set", "map_index": -1},
        "written_at": "2026-11-22T08:00:00Z",
        "missed": 0,
    }


def test_payload_of_a_canary():
    """It has the canary's assignment, not the stable one."""
    desired = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    (event,) = find_changes("demo", {"web": {8: desired}}, {"web": 7}, None)
    payload = event.to_payload()
    assert (payload["canary"], payload["generation"], payload["values"]) == (True, 8, {"release": "2.6.0"})


@given(
    st.sets(st.integers(1, 60)), st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(0, 60)
)  # fmt: skip
def test_nothing_is_reported_twice_or_left_out(written, looks, began):
    """Each generation is reported once, however often the watcher looks or restarts from its cursor."""
    cursor, seen = {"web": began}, []
    for newest in sorted(looks):
        visible = make_history(*(generation for generation in written if generation <= newest))
        for event in find_changes("demo", {"web": visible}, cursor, None):
            seen.append(event.generation)
            cursor = {**cursor, **event.cursor}
    assert seen == sorted(generation for generation in written if began < generation <= max(looks))


def test_spoilt_cursor_is_none():
    """A cursor from the database is not trusted to be one."""
    assert read_cursor({"web": 3}) == {"web": 3}
    assert read_cursor({}) == {}
    for spoilt in (None, 3, ["web"], {"web": "3"}, {"web": True}):
        assert read_cursor(spoilt) is None


def test_ahead():
    """One tier ahead is enough; a tier that went back does not count."""
    assert is_ahead({"web": 3, "db": 1}, {"web": 2, "db": 1})
    assert is_ahead({"web": 1}, {})
    assert not is_ahead({"web": 2}, {"web": 3})
