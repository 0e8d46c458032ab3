"""`airflow chefconsul plan --rollback` shows what a rollback would do, and writes nothing."""

from __future__ import annotations

import pytest

from tests.cli.conftest import read_desired
from tests.support.factory import make_report

PLAN = ("plan", "demo", "web", "--rollback")


@pytest.fixture
def tier(airflow_chefconsul, declare, members):
    """Two nodes: state waiting with release 2.4.0, then converged with 2.4.0 and with 2.5.0."""
    members("web-1", "web-2")
    assert airflow_chefconsul("set", "demo", "web", "--state", "waiting", "--value", "release=2.4.0").code == 0
    declare("web", "2.4.0")
    declare("web", "2.5.0")


@pytest.mark.usefixtures("tier")
def test_previous(airflow_chefconsul, consul_kv):
    """The decision, the differences and the nodes; then it is really written, as planned."""
    before = dict(consul_kv)
    ended = airflow_chefconsul(*PLAN)
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "demo/web: would write: all nodes are assigned generation 4, state converged, release=2.4.0",
        '  release: "2.5.0" → "2.4.0"',
        "  2 of 2 members would get a new assignment: web-1, web-2",
    ]
    (planned,) = airflow_chefconsul(*PLAN, "-o", "json").json["tiers"][0]["steps"]
    assert dict(consul_kv) == before
    assert airflow_chefconsul("rollback", "demo", "web").code == 0
    assert read_desired(consul_kv).generation == planned["generation"]


@pytest.mark.usefixtures("tier")
def test_tier_that_leaves_its_state(airflow_chefconsul):
    """Said before all else: a rollback is not expected to stop what serves."""
    ended = airflow_chefconsul(*PLAN, "--to", "1")
    assert ended.out.splitlines()[1:4] == [
        "  the tier leaves the state that it is in: converged → waiting",
        '  state: "converged" → "waiting"',
        '  release: "2.5.0" → "2.4.0"',
    ]
    assert "leaves the state" not in airflow_chefconsul("plan", "demo", "web", "--state", "off").out


@pytest.mark.usefixtures("tier")
def test_canary(airflow_chefconsul, declare):
    """Its nodes go back to what the others have kept; to an older generation, all go, each from what it has."""
    declare("web", "2.6.0", "--canary", "web-1")
    ended = airflow_chefconsul(*PLAN)
    assert ended.out.splitlines() == [
        "demo/web: would write: all nodes are assigned generation 3, state converged, release=2.5.0",
        '  release: "2.6.0" → "2.5.0"',
        "  1 of 2 members would get a new assignment: web-1",
    ]
    assert airflow_chefconsul(*PLAN, "--to", "2").out.splitlines()[1:] == [
        '  release: "2.6.0" → "2.4.0"',
        "  1 of 2 members would get a new assignment: web-1",
        '  release: "2.5.0" → "2.4.0"',
        "  1 of 2 members would get a new assignment: web-2",
    ]
    (planned,) = airflow_chefconsul(*PLAN, "--to", "2", "-o", "json").json["tiers"][0]["steps"]
    assert [(each["before"]["generation"], each["nodes"]) for each in planned["moves"]] == [
        (4, ["web-1"]),
        (3, ["web-2"]),
    ]


@pytest.mark.usefixtures("tier")
def test_last_good(airflow_chefconsul, consul_kv):
    """What converged, in this state or another."""
    ended = airflow_chefconsul(*PLAN, "--to", "last-good")
    assert ended.code == 4
    assert "no earlier generation is known on which the whole tier" in ended.out
    for node in ("web-1", "web-2"):
        consul_kv[f"demo/web/nodes/{node}"] = make_report(node, generation=4, state="off").to_json()
    assert airflow_chefconsul("set", "demo", "web", "--state", "off", "--wait").code == 0
    assert airflow_chefconsul("set", "demo", "web", "--state", "converged").code == 0
    ended = airflow_chefconsul(*PLAN, "--to", "last-good", "--state", "off")
    assert ended.code == 0
    assert "would write: all nodes are assigned generation 6, state off" in ended.out
    assert "the tier leaves the state that it is in: converged → off" in ended.out


@pytest.mark.usefixtures("tier")
def test_refusals(airflow_chefconsul):
    """As of the rollback itself."""
    ended = airflow_chefconsul(*PLAN, "--to", "9")
    assert ended.code == 4
    assert ended.out.splitlines()[0].startswith("demo/web: refused: generation 9 is not in the tier's history")
    airflow_chefconsul("freeze", "demo", "--reason", "evening")
    ended = airflow_chefconsul(*PLAN)
    assert ended.code == 4
    assert ended.out.splitlines()[-1].startswith("refused, nothing would be written: demo/web: frozen by ")
    assert airflow_chefconsul(*PLAN, "--despite-freeze").code == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--rollback", "--value", "release=2.5.0"), "--value cannot be combined with --rollback"),
        (("--rollback", "--waves", "1,100%"), "--waves cannot be combined with --rollback"),
        (("--rollback", "--allowed-from", "off"), "--allowed-from cannot be combined with --rollback"),
        (("--rollback", "--state", "off"), "--state requires --to last-good"),
        (("--rollback", "--to", "yesterday"), 'to must be "last_good", "previous" or a generation, not \'yesterday\''),
        (("--state", "off", "--to", "3"), "--to requires --rollback"),
        (("--state", "off", "--despite-freeze"), "--despite-freeze requires --rollback"),
        ((), "--state is required: the state to declare; or --rollback"),
    ],
)
def test_bad_input(airflow_chefconsul, words, why):
    """One line that names the option."""
    ended = airflow_chefconsul("plan", "demo", "web", *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"airflow chefconsul: error: {why}\n"
