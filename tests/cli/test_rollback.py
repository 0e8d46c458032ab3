"""`airflow chefconsul rollback`, like RollBackOperator."""

from __future__ import annotations

import pytest

from tests.cli.conftest import read_desired
from tests.support.factory import make_failure, make_report


@pytest.fixture
def two_releases(declare):
    """Tiers db and web at 2.4.0, then at 2.5.0."""
    for tier in ("db", "web"):
        for release in ("2.4.0", "2.5.0"):
            declare(tier, release)


def release(keys, tier="web"):
    """A tier's current generation and release."""
    desired = read_desired(keys, tier)
    return desired.generation, desired.stable.values["release"]


@pytest.mark.usefixtures("two_releases")
def test_previous_and_a_generation(airflow_chefconsul, consul_kv):
    """Each call is another writer, so a second one goes further back; finally there is nothing left."""
    ended = airflow_chefconsul("rollback", "demo", "web")
    assert (ended.code, release(consul_kv)) == (0, (3, "2.4.0"))
    assert ended.out == ("demo/web: rolled back: all nodes are assigned generation 3, state converged, release=2.4.0\n")
    assert read_desired(consul_kv).written_by.task_id == "rollback"
    assert airflow_chefconsul("rollback", "demo", "web", "--to", "2").code == 0
    assert release(consul_kv) == (4, "2.5.0")
    ended = airflow_chefconsul("rollback", "demo", "web", "--to", "9")
    assert ended.code == 4
    assert "generation 9 is not in the tier's history, which holds generations 1 to 4" in ended.err


@pytest.mark.usefixtures("two_releases")
def test_several_tiers_are_one_transaction(airflow_chefconsul, declare, consul_kv):
    """If one has nothing to roll back to, none is changed."""
    declare("app", "2.5.0")
    before = dict(consul_kv)
    assert airflow_chefconsul("rollback", "demo", "db", "app", "web").code == 4
    assert dict(consul_kv) == before
    assert airflow_chefconsul("rollback", "demo", "db", "web", "-o", "json").json["generations"] == {"web": 3, "db": 3}


@pytest.mark.usefixtures("two_releases")
def test_reverse_order_with_a_wait(airflow_chefconsul, members, consul_kv):
    """Tier db follows once web has converged; a node that fails in web leaves db unchanged."""
    for tier in ("db", "web"):
        members(f"{tier}-1", tier=tier)
        consul_kv[f"demo/{tier}/nodes/{tier}-1"] = make_report(f"{tier}-1", tier=tier, generation=3).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_failure("web-1", generation=3).to_json()
    ended = airflow_chefconsul("rollback", "demo", "db", "web", "--wait", "-o", "json")
    assert ended.code == 3
    assert ended.json == {"environment": "demo", "generations": {"web": 3}, "converged": False}
    assert (release(consul_kv), release(consul_kv, "db")) == ((3, "2.4.0"), (2, "2.5.0"))
    assert airflow_chefconsul("rollback", "demo", "web", "--to", "2").code == 0
    for tier, generation in (("db", 3), ("web", 5)):
        report = make_report(f"{tier}-1", tier=tier, generation=generation)
        consul_kv[f"demo/{tier}/nodes/{tier}-1"] = report.to_json()
    ended = airflow_chefconsul("rollback", "demo", "db", "web", "--wait")
    assert ended.code == 0, ended.err
    assert (release(consul_kv), release(consul_kv, "db")) == ((5, "2.4.0"), (3, "2.4.0"))


@pytest.mark.usefixtures("two_releases")
def test_refusal_after_the_first_tier_tells_what_was_written(airflow_chefconsul, declare, members, consul_kv):
    """Exit code 4 would mean that nothing was."""
    declare("app", "2.5.0")
    for tier in ("app", "web"):
        members(f"{tier}-1", tier=tier)
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=3).to_json()
    ended = airflow_chefconsul("rollback", "demo", "app", "web", "--wait", "-o", "json")
    assert ended.code == 3
    assert ended.json == {"environment": "demo", "generations": {"web": 3}, "converged": False}
    assert "generation 1 has no earlier content to go back to; already rolled back: web" in ended.err
    assert (release(consul_kv), release(consul_kv, "app")) == ((3, "2.4.0"), (1, "2.5.0"))


@pytest.fixture
def good_and_bad(airflow_chefconsul, members, consul_kv):
    """A node that converged in state off (1), then on release 2.4.0 (2); it never reached waiting (3) nor 2.5.0 (4)."""
    members("web-1")
    states = [("off", "2.4.0"), ("converged", "2.4.0"), ("waiting", "2.4.0"), ("converged", "2.5.0")]
    for generation, (state, release) in enumerate(states, start=1):
        words = ("set", "demo", "web", "--state", state, "--value", f"release={release}")
        is_good = generation <= 2
        if is_good:
            consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=generation, state=state).to_json()
        assert airflow_chefconsul(*words, *(["--wait"] if is_good else [])).code == 0


@pytest.mark.usefixtures("good_and_bad")
@pytest.mark.parametrize(
    ("words", "state", "release"),
    [
        (("--to", "last-good"), "converged", "2.4.0"),
        (("--to", "last-good", "--state", "off"), "off", "2.4.0"),
        ((), "waiting", "2.4.0"),
    ],
)
def test_last_good(airflow_chefconsul, consul_kv, words, state, release):
    """What converged, in the state that the tier is in or in another one; "previous" is whatever was there before."""
    assert airflow_chefconsul("rollback", "demo", "web", *words).code == 0
    stable = read_desired(consul_kv).stable
    assert (stable.state, stable.values) == (state, {"release": release})


@pytest.mark.usefixtures("good_and_bad")
def test_nothing_good(airflow_chefconsul, consul_kv):
    """The tier never converged in this state."""
    before = dict(consul_kv)
    ended = airflow_chefconsul("rollback", "demo", "web", "--to", "last-good", "--state", "waiting")
    assert ended.code == 4
    assert "no earlier generation is known on which the whole tier converged in state waiting" in ended.err
    assert dict(consul_kv) == before


@pytest.mark.usefixtures("two_releases")
def test_frozen_tier(airflow_chefconsul, consul_kv):
    """Refused unless it says so; the journal then has both reasons."""
    airflow_chefconsul("freeze", "demo", "web", "--reason", "evening")
    ended = airflow_chefconsul("rollback", "demo", "web")
    assert ended.code == 4
    assert "demo/web: frozen by airflow chefconsul freeze, " in ended.err
    assert release(consul_kv) == (2, "2.5.0")
    assert airflow_chefconsul("rollback", "demo", "web", "--despite-freeze", "--reason", "errors").code == 0
    assert release(consul_kv) == (3, "2.4.0")
    entry = airflow_chefconsul("journal", "demo", "-o", "json").json["entries"][-1]
    assert entry["act"] == "rolled_back"
    assert entry["reason"].startswith("despite the freeze (frozen by airflow chefconsul freeze, ")
    assert entry["reason"].endswith("evening): errors")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--to", "last"), 2, 'to must be "last_good", "previous" or a generation, not \'last\''),
        (("--to", "0"), 2, 'to must be "last_good", "previous" or a generation'),
        (("--state", "off"), 2, "--state requires --to last-good"),
        (("--to", "last-good", "--state", "o/f"), 2, "state 'o/f' is not a name"),
        (("--min-converged", "50%"), 2, "--min-converged requires --wait"),
        ((), 4, "demo/web: the tier has no desired state, so there is nothing to roll back"),
        (("--wait",), 4, "demo/web has no members"),
    ],
)
def test_bad_input(airflow_chefconsul, consul_kv, words, code, why):
    """One line, and nothing is written."""
    ended = airflow_chefconsul("rollback", "demo", "web", *words)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"airflow chefconsul: error: {why}")
    assert not consul_kv
