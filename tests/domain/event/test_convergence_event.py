"""When a watcher reports that tiers have converged."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.event.convergence_event import ConvergenceWatch
from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from tests.support.factory import (
    NOW,
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_policy,
    make_report,
    make_snapshot,
)


def make_watch(**overrides):
    """A watch with the strictest policy."""
    return ConvergenceWatch(**{"environment": "demo", "policy": make_policy()} | overrides)


def make_tier(generation: int = 7, *reports, state: str = "converged", **overrides):
    """A tier whose two members reported this."""
    desired = make_desired(generation, stable=make_assignment(generation, state=state))
    return make_snapshot(*reports, **{"desired": desired, "members": ("web-1", "web-2")} | overrides)


def make_converged(generation: int = 7, state: str = "converged", **overrides):
    """A tier whose two members have converged."""
    reports = [make_report(node, generation=generation, state=state) for node in ("web-1", "web-2")]
    return make_tier(generation, *reports, state=state, **overrides)


def look(watch, *, now=NOW, **snapshots):
    """The event that one look gives, if any."""
    return watch.observe(snapshots, now=now)[1]


def test_converged_tier_is_reported():
    """With the assignment of its nodes, and a key that is the same each time it is sent."""
    event = look(make_watch(), web=make_converged())
    assert event.cursor == {"web": 7}
    assert event.to_payload() == {
        "event": "tier_converged",
        "key": "demo/web@7",
        "environment": "demo",
        "tiers": {
            "web": {
                "generation": 7,
                "state": "converged",
                "values": {"release": "2.5.0"},
                "nodes": {"converged": 2},
            }
        },
    }


@pytest.mark.parametrize(
    "waiting",
    [
        pytest.param(make_tier(7, make_report("web-1")), id="one has not reported"),
        pytest.param(make_tier(7, make_report("web-1"), make_failure("web-2")), id="one has failed"),
        pytest.param(make_tier(7, members=()), id="no members"),
        pytest.param(make_tier(desired=None), id="nothing is desired"),
        pytest.param(make_tier(desired=Unreadable("k", "not JSON")), id="malformed"),
        pytest.param(
            make_converged(desired=make_desired(8, stable=make_assignment(7), canary=make_canary(8, nodes=()))),
            id="a canary is out, though it covers nobody",
        ),
    ],
)
def test_unfinished_tier_gives_no_event(waiting):
    """A tier that has not fully converged gives no event, nor does an environment that contains it."""
    assert look(make_watch(), web=waiting) is None
    assert look(make_watch(), app=make_converged(), web=waiting) is None


def test_nothing_to_watch_has_not_converged():
    """Silence is never success."""
    assert look(make_watch()) is None


def test_environment_converges_when_all_tiers_have():
    """The event lists each tier's generation."""
    event = look(make_watch(), web=make_converged(7), db=make_converged(3))
    assert event.cursor == {"web": 7, "db": 3}
    assert event.to_payload()["key"] == "demo/db@3,web@7"


def test_state_selects():
    """Tiers that were turned off have converged, but do not count if a state is given."""
    down = make_converged(state="off")
    assert look(make_watch(state="converged"), web=down) is None
    assert look(make_watch(state="off"), web=down) is not None
    assert look(make_watch(), web=down) is not None


def test_failed_tier_can_still_converge():
    """A failed verdict does not end a watch: someone may fix the node."""
    watch, event = make_watch().observe({"web": make_tier(7, make_report("web-1"), make_failure("web-2"))}, now=NOW)
    assert event is None
    assert look(watch, web=make_converged()) is not None


def test_late_tier_can_still_converge():
    """The policy's deadlines do not apply."""
    hasty = make_policy(timeout=timedelta(seconds=1), progress_deadline=timedelta(seconds=1))
    watch, _ = make_watch(policy=hasty).observe({"web": make_tier()}, now=NOW)
    watch, event = watch.observe({"web": make_tier()}, now=NOW + timedelta(days=9))
    assert event is None
    assert look(watch, now=NOW + timedelta(days=10), web=make_converged()) is not None


def test_policy_must_hold_without_a_break():
    """Time during which nobody watched does not count towards min_healthy_time."""
    watch, event = make_watch(policy=make_policy(min_healthy_time=timedelta(minutes=2))).observe(
        {"web": make_converged()}, now=NOW
    )
    assert event is None
    later = NOW + timedelta(minutes=2)
    assert look(watch, now=later, web=make_converged()) is not None
    assert look(watch.interrupt(), now=later, web=make_converged()) is None


def test_tier_that_has_converged_before_the_watch_is_known():
    """Although nobody watched whether it held."""
    watch = make_watch(policy=make_policy(min_healthy_time=timedelta(minutes=2)))
    assert watch.begin({"web": make_converged(), "db": make_converged(3)}, now=NOW) == {"web": 7, "db": 3}
    assert watch.begin({"web": make_converged(), "db": make_tier(3)}, now=NOW) == {}
    assert make_watch(state="off").begin({"web": make_converged()}, now=NOW) == {}


def test_new_generation_is_waited_for_anew():
    """Convergence on an earlier generation does not count."""
    watch, _ = make_watch().observe({"web": make_converged(7)}, now=NOW)
    again = [make_report(node, generation=7) for node in ("web-1", "web-2")]
    watch, event = watch.observe({"web": make_tier(8, *again)}, now=NOW)
    assert event is None
    assert look(watch, web=make_converged(8)).cursor == {"web": 8}


def test_node_that_runs_again_stays_converged():
    """Otherwise nodes that run Chef on an interval might never all be converged at once."""
    watch, _ = make_watch().observe({"web": make_tier(7, make_report("web-1"))}, now=NOW)
    running = make_report("web-1", status=Status.RUNNING)
    assert look(watch, web=make_tier(7, running, make_report("web-2"))) is not None


def test_generation_that_recurs_is_reported():
    """After a tier was deleted and declared again."""
    first, again = (
        make_converged(desired=make_desired(stable=make_assignment(id=each)), evidence={}) for each in ("a1", "b2")
    )
    watch, _ = make_watch().observe({"web": first}, now=NOW)
    converged = make_converged(desired=again.desired)
    assert look(watch, web=converged).cursor == {"web": 7}
