"""`airflow chefconsul plan` shows what a write would do, and writes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.cli.conftest import read_desired
from tests.support.factory import make_lease

NEXT = ("--state", "converged", "--value", "release=2.6.0")
NODES = [f"web-{number}" for number in range(1, 9)]


@pytest.fixture
def untouched(consul_kv, plain_consul, consul_root):
    """Checks at the end of the test that no key was written: no value and no index has changed."""

    def look():
        _, entries = plain_consul.kv.get(f"{consul_root}/", recurse=True)
        return [(entry["Key"], entry["Value"], entry["ModifyIndex"]) for entry in entries or []]

    found = []
    yield lambda: found.extend(look())
    assert found
    assert look() == found


@pytest.fixture
def tier(declare, members, untouched):
    """Eight nodes on release 2.5.0 with a value that the next release drops."""
    members(*NODES)
    declare("web", "2.5.0", "--value-json", "replicas=3")
    untouched()


@pytest.mark.usefixtures("tier")
def test_whole_tier(airflow_chefconsul):
    """The decision, the differences, and the nodes that get another assignment."""
    ended = airflow_chefconsul("plan", "demo", "web", *NEXT)
    assert ended.code == 0
    assert ended.out.splitlines() == [
        ("demo/web: would write: all nodes are assigned generation 2, state converged, release=2.6.0"),
        '  release: "2.5.0" → "2.6.0"',
        "  replicas: 3 → not there",
        f"  8 of 8 members would get a new assignment: {', '.join(NODES)}",
    ]


def test_absent_nodes_are_counted_among_those_whom_a_wave_takes(airflow_chefconsul, declare, members):
    """Not among all members; no wait requires them."""
    members("web-1", "web-2")
    members("web-3", "web-4", check="critical")
    declare()
    ended = airflow_chefconsul("plan", "demo", "web", *NEXT)
    assert "  4 of 4 members would get a new assignment, 2 of these absent, which no wait requires: web-1" in ended.out
    canary = (*NEXT, "--canary", "web-1,web-2,web-3")
    assert "  3 of 4 members would get a new assignment, 1 of these absent" in (
        airflow_chefconsul("plan", "demo", "web", *canary).out
    )
    (step,) = airflow_chefconsul("plan", "demo", "web", *canary, "-o", "json").json["tiers"][0]["steps"]
    assert (step["nodes"], step["absent"]) == (["web-1", "web-2", "web-3"], ["web-3"])
    ended = airflow_chefconsul("plan", "demo", "web", *NEXT, "--canary", "1")
    assert "1 of 4 members would get a new assignment: web-" in ended.out


@pytest.mark.usefixtures("tier")
def test_same_content_is_unchanged(airflow_chefconsul):
    """Nothing would be written and no node would act, unless forced."""
    same = ("--state", "converged", "--value", "release=2.5.0", "--value-json", "replicas=3", "--sequence", "5")
    ended = airflow_chefconsul("plan", "demo", "web", *same)
    assert (ended.code, ended.out) == (0, "demo/web: nothing to write, still generation 1\n")
    document = airflow_chefconsul("plan", "demo", "web", *same[:-2], "--force", "-o", "json").json
    (step,) = document["tiers"][0]["steps"]
    assert (step["decision"], step["generation"], step["differences"], step["nodes"]) == ("write", 2, [], NODES)


@pytest.mark.usefixtures("tier")
def test_later_time_of_same_content(airflow_chefconsul):
    """Only the time would be recorded; no node is mentioned."""
    same = ("--state", "converged", "--value", "release=2.5.0", "--value-json", "replicas=3")
    ended = airflow_chefconsul("plan", "demo", "web", *same, "--sequence", "2099-01-01T00:00:00Z")
    assert ended.code == 0
    assert ended.out == (
        "demo/web: would write: only the later logical time; generation 1 stays, and nodes do nothing\n"
    )


def test_waves_are_those_that_a_rollout_takes(airflow_chefconsul, tier, consul_kv, untouched):
    """Each wave shows the nodes that it adds; then the first is really written, as planned."""
    document = airflow_chefconsul("plan", "demo", "web", *NEXT, "--waves", "1,50%,100%", "-o", "json").json
    steps = document["tiers"][0]["steps"]
    assert [step["wave"] for step in steps] == ["1", "50%", "100%"]
    assert [len(step["nodes"]) for step in steps] == [1, 3, 4]
    assert sorted(node for step in steps for node in step["nodes"]) == NODES
    assert {step["generation"] for step in steps} == {2}
    assert [step["is_new"] for step in steps] == [True, False, False]


@pytest.mark.usefixtures("consul_kv")
def test_canary_is_written_as_planned(airflow_chefconsul, declare, members, consul_kv):
    """`plan` names the nodes that `set` then takes; also when spread over zones."""
    for number, node in enumerate(NODES):
        members(node, zone="ab"[number % 2])
    declare()
    words = (*NEXT, "--canary", "2", "--spread", "meta:zone")
    (step,) = airflow_chefconsul("plan", "demo", "web", *words, "-o", "json").json["tiers"][0]["steps"]
    assert {NODES.index(node) % 2 for node in step["nodes"]} == {0, 1}
    assert airflow_chefconsul("set", "demo", "web", *words).code == 0
    desired = read_desired(consul_kv)
    assert [node for node in NODES if desired.assignment_for(node).generation == 2] == step["nodes"]
    # Declared for all, it promotes: only the others would act.
    (step,) = airflow_chefconsul("plan", "demo", "web", *NEXT, "-o", "json").json["tiers"][0]["steps"]
    assert len(step["nodes"]) == 6
    # Declared as before, it takes the canary back, and the difference is theirs.
    before = ("--state", "converged", "--value", "release=2.5.0")
    (step,) = airflow_chefconsul("plan", "demo", "web", *before, "-o", "json").json["tiers"][0]["steps"]
    assert len(step["nodes"]) == 2
    assert step["differences"] == [{"name": "release", "before": ["2.6.0"], "after": ["2.5.0"]}]


@pytest.mark.usefixtures("tier")
def test_when_waves_could_begin(airflow_chefconsul):
    """On the clock of the window, holidays left out; with the time that a wave takes, on different days."""
    zone = ZoneInfo("Asia/Kolkata")
    day = (datetime.now(zone) + timedelta(days=3)).date()  # a week before, and after, it is closed
    first, second = (f"{day + timedelta(weeks=number)}" for number in (1, 2))
    window = ("--window", f"{day:%a} 09:00-16:00", "--timezone", zone.key, "--holiday", str(day))
    waves = ("plan", "demo", "web", *NEXT, "--waves", "1,50%,100%", *window)
    ended = airflow_chefconsul(*waves)
    assert ended.code == 0, ended.err
    assert [line for line in ended.out.splitlines() if "could begin" in line] == [
        f"  could begin from {first} 09:00 IST until {first} 16:00 IST",
        f"  could begin once wave 1 has converged, from {first} 09:00 IST until {first} 16:00 IST",
        f"  could begin once wave 2 has converged, from {first} 09:00 IST until {first} 16:00 IST",
    ]
    lasting = (*waves, "--wave-takes", "4h")
    lines = [line for line in airflow_chefconsul(*lasting).out.splitlines() if "could begin" in line]
    assert [line.partition("from ")[2].partition(" until")[0] for line in lines] == [
        f"{first} 09:00 IST", f"{first} 13:00 IST", f"{second} 09:00 IST",
    ]  # fmt: skip
    steps = airflow_chefconsul(*lasting, "-o", "json").json["tiers"][0]["steps"]
    assert steps[1]["could_begin"] == {"from": f"{first}T07:30:00+00:00", "until": f"{first}T10:30:00+00:00"}


@pytest.mark.usefixtures("tier")
def test_window_that_is_open(airflow_chefconsul):
    """The first wave could begin now; a plan that is refused says no time, nor does what waits for nothing."""
    window = ("--window", "Mon-Sun 00:00-00:00", "--timezone", "UTC")
    out = airflow_chefconsul("plan", "demo", "web", *NEXT, "--waves", "1,100%", *window).out
    first, second = [line for line in out.splitlines() if "could begin" in line]
    assert first.startswith("  could begin now, until 20")
    assert second.startswith("  could begin once wave 1 has converged, until 20")
    same = ("--state", "converged", "--value", "release=2.5.0", "--value-json", "replicas=3", "--sequence", "5")
    for words in (same, (*NEXT, "--sequence", "5")):
        assert "could begin" not in airflow_chefconsul("plan", "demo", "web", *words, *window).out
        (step,) = airflow_chefconsul("plan", "demo", "web", *words, *window, "-o", "json").json["tiers"][0]["steps"]
        assert step["could_begin"] is None


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--window", "Mon 09:00-16:00"), "--window requires --timezone: whose clock the hours are on"),
        (("--timezone", "UTC"), "--timezone requires --window"),
        (("--wave-takes", "1h"), "--wave-takes requires --window"),
        (
            ("--window", "Mon 09:00-16:00", "--timezone", "UTC", "--wave-takes", "1"),
            "--wave-takes must be a number with",
        ),
        (("--window", "Mo 09:00-16:00", "--timezone", "UTC"), 'change window "Mo 09:00-16:00": unknown day Mo'),
        (("--window", "Mon 09:00-16:00", "--timezone", "Berlin"), "unknown timezone 'Berlin', did you mean"),
        (("--window", "Mon 09:00-16:00", "--timezone", "UTC", "--holiday", "x"), "holiday 'x' is not a date"),
        (("--rollback", "--window", "Mon 09:00-16:00", "--timezone", "UTC"), "--window cannot be combined with"),
        (("--rollback", "--holiday", "2026-12-24"), "--holiday requires --window"),
    ],
)
def test_bad_windows(airflow_chefconsul, words, why):
    """Exit code 2, and the option or what is wrong with the hours."""
    ended = airflow_chefconsul("plan", "demo", "web", *(() if "--rollback" in words else NEXT), *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"airflow chefconsul: error: {why}")


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--allowed-from", "off,none"), "state converged is allowed from off, no desired state yet, but the tier is"),
        (("--sequence", "5"), "the write is stale: it belongs to sequence 1970-01-01T00:00:05Z, and generation 1"),
        (("--canary", "web-1,web-99"), "canary names nodes that are not members of the tier: web-99"),
    ],
)
def test_refusals(airflow_chefconsul, words, why):
    """Exit code 4, with the refusal's message."""
    ended = airflow_chefconsul("plan", "demo", "web", *NEXT, *words)
    assert ended.code == 4
    assert f"demo/web: refused: {why}" in ended.out
    document = airflow_chefconsul("plan", "demo", "web", *NEXT, *words, "-o", "json").json
    assert why in document["refused"]
    assert document["tiers"][0]["steps"][0]["decision"] == "refused"


def test_tier_without_members(airflow_chefconsul, tier):
    """Refused as by `set`, unless it is allowed."""
    ended = airflow_chefconsul("plan", "demo", "wbe", *NEXT)
    assert ended.code == 4
    refusal = "demo/wbe has no members: Consul lists no node for service:wbe; tiers of demo: web; --without-members"
    assert ended.out.splitlines()[-1].startswith(f"refused, nothing would be written: {refusal}")
    assert airflow_chefconsul("plan", "demo", "wbe", *NEXT, "-o", "json").json["refused"].startswith(refusal)
    assert airflow_chefconsul("plan", "demo", "wbe", *NEXT, "--without-members").code == 0
    ended = airflow_chefconsul("plan", "demo", "wbe", *NEXT, "--without-members", "--waves", "1,100%")
    assert ended.code == 2
    assert "--without-members cannot be combined with --waves" in ended.err


def test_one_refused_tier_refuses_all(airflow_chefconsul, tier, members):
    """One transaction: the other tier is shown, and the last line says that nothing would be written."""
    members("db-1", tier="db")
    ended = airflow_chefconsul("plan", "demo", "db", "web", *NEXT, "--allowed-from", "none")
    assert ended.code == 4
    assert "demo/db: would write: all nodes are assigned generation 1" in ended.out
    assert ended.out.splitlines()[-1].startswith("refused, nothing would be written: demo/web: state converged is")


def test_lease_refuses(airflow_chefconsul, declare, consul_kv, untouched):
    """As for a write; the planned write is still shown."""
    declare()
    consul_kv["demo/_lease"] = make_lease().to_json()
    untouched()
    ended = airflow_chefconsul("plan", "demo", "web", *NEXT, "--without-members")
    assert ended.code == 4
    assert "would write: all nodes are assigned generation 2" in ended.out
    assert "environment demo is held by Dag shop_rollout, run manual__1" in ended.out


def test_tier_that_was_never_declared(airflow_chefconsul, members):
    """Everything is new."""
    members("web-1")
    ended = airflow_chefconsul("plan", "demo", "web", *NEXT)
    assert ended.code == 0
    assert '  state: not there → "converged"' in ended.out.splitlines()
    assert "1 of 1 members would get a new assignment: web-1" in ended.out
