"""`airflow chefconsul set`: the checks of SetDesiredStateOperator, and its wait."""

from __future__ import annotations

import getpass
import json
import socket
from dataclasses import replace

import pytest

from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from tests.cli.conftest import read_desired
from tests.support.airflow_home import make_context
from tests.support.factory import make_failure, make_lease, make_report

OFF = ("--state", "off")
EMPTY = "--without-members"


def test_values_are_text_unless_said_otherwise(airflow_chefconsul, consul_kv):
    """`--value` never guesses; `--value-json` takes any scalar. The document has the writer and the time."""
    words = ("--value", "release=2.5.0", "--value", "n=3", "--value", "empty=", "--value", "a=b=c")
    others = ("--value-json", "replicas=3", "--value-json", "debug=true", "--value-json", 'motd="3"')
    ended = airflow_chefconsul("set", "demo", "web", "db", "--state", "converged", EMPTY, *words, *others)
    assert ended.code == 0
    assert ended.out.splitlines()[1].startswith(
        "demo/db: all nodes are assigned generation 1, state converged, release=2.5.0"
    )
    for tier in ("web", "db"):
        desired = read_desired(consul_kv, tier)
        assert desired.stable.values == {
            "release": "2.5.0", "n": "3", "empty": "", "a": "b=c", "replicas": 3, "debug": True, "motd": "3",
        }  # fmt: skip
    writer = read_desired(consul_kv).written_by
    assert (writer.dag_id, writer.task_id) == ("airflow chefconsul", "set")
    assert writer.run_id.startswith(f"{getpass.getuser()}@{socket.gethostname()} 20")
    assert str(writer) == f"airflow chefconsul set, {writer.run_id}"


def test_pace(airflow_chefconsul, declare, consul_kv, members):
    """How many nodes may converge at one time; the same content with other slots keeps its generation."""
    members(*(f"web-{number}" for number in range(1, 41)))
    content = ("web", "2.5.0")
    declare(*content, "--slots", "5%", "--spread-over", "5m")
    stable = read_desired(consul_kv).stable
    assert stable.pace == AssignmentPace(2, spread_over=300)
    again = ("set", "demo", "web", "--state", "converged", "--value", "release=2.5.0", "--slots", "3")
    assert airflow_chefconsul("plan", *again[1:], "-o", "json").json["tiers"][0]["steps"][0]["pace"] == {
        "max_parallel": 3
    }
    ended = airflow_chefconsul(*again, "--per", "meta:rack")
    assert ended.out == ("demo/web: wrote only its pace, 3 slots per meta:rack; generation 1 stays\n")
    assert read_desired(consul_kv).stable == replace(stable, pace=AssignmentPace(3, "meta:rack"))
    ended = airflow_chefconsul(*again[:-1], "0")
    assert ended.code == 2
    assert "slots must be a number of nodes from 1" in ended.err


def test_same_content_is_not_written_again(airflow_chefconsul, declare, consul_kv):
    """Another call keeps the generation; a forced one makes one each time."""
    declare()
    declare()
    assert read_desired(consul_kv).generation == 1
    declare("web", "2.5.0", "--force")
    declare("web", "2.5.0", "--force")
    assert read_desired(consul_kv).generation == 3


def test_history_is_as_long_as_that_of_the_dags(airflow_chefconsul, declare, consul_kv, monkeypatch):
    """Otherwise a command would remove what tasks are told to keep."""
    monkeypatch.setenv("AIRFLOW__CHEFCONSUL__HISTORY_KEPT", "2")
    for release in "123":
        declare("web", release)
    assert [key[-1] for key in sorted(consul_kv) if "_history/web/" in key] == ["2", "3"]
    monkeypatch.setenv("AIRFLOW__CHEFCONSUL__HISTORY_KEPT", "all")
    ended = airflow_chefconsul("set", "demo", "web", "--state", "off", EMPTY)
    assert ended.code != 0
    assert "[chefconsul] history_kept must be a number from 2, not 'all'" in ended.err


def test_output_describes_the_write(airflow_chefconsul, declare, members):
    """The canary's nodes, how to promote it, and which nodes get another assignment, without jargon."""
    members("web-1", "web-2")
    declare()
    next_release = ("--state", "converged", "--value", "release=2.6.0", "--value-json", "debug=true")

    def written(*words: str) -> list[str]:
        ended = airflow_chefconsul("set", "demo", "web", *next_release, *words)
        assert ended.code == 0, ended.err
        return ended.out.splitlines()

    content = "is assigned generation 2, state converged, release=2.6.0, debug=true"
    assert written("--canary", "web-2") == [
        f"demo/web: a canary of nodes web-2 {content}; all others keep generation 1",
        "  1 of 2 members get a new assignment: web-2",
    ]
    assert written("--canary", "100%") == [
        f"demo/web: a canary of all nodes {content} (declare it without a canary to promote it)",
        "  1 of 2 members get a new assignment: web-1",
    ]
    assert written() == [
        f"demo/web: all nodes {content}".replace(" is ", " are "),
        "  none of 2 members get a new assignment, so nodes do nothing",
    ]
    assert written("--sequence", "2099-01-01T00:00:00Z") == [
        "demo/web: wrote only the later logical time; generation 2 stays, and nodes do nothing"
    ]


def test_sequence_is_now_by_default(airflow_chefconsul, declare, consul_kv):
    """So last month's Dag run cannot undo what a person did; another time can be given."""
    declare()
    last_month = SetDesiredStateOperator(
        task_id="set", environment="demo", tier="web", state="off", on_stale="skip", allow_empty=True
    )
    with pytest.raises(Exception, match="the write is stale") as stale:
        last_month.execute(make_context())
    assert "written by airflow chefconsul set, " in str(stale.value)
    ended = airflow_chefconsul("set", "demo", "web", *OFF, EMPTY, "--sequence", "2026-01-01T00:00:00Z")
    assert ended.code == 4
    assert (
        "airflow chefconsul: error: demo/web: the write is stale: it belongs to sequence 2026-01-01T00:00:00Z"
        in ended.err
    )
    assert read_desired(consul_kv).stable.state == "converged"


@pytest.mark.parametrize(("words", "code"), [("none", 4), ("off", 4), ("off, converged", 0), ("none,converged", 0)])
def test_allowed_from(airflow_chefconsul, declare, words, code):
    """A state, or `none` for a tier that was never declared."""
    declare()
    assert airflow_chefconsul("set", "demo", "web", *OFF, EMPTY, "--allowed-from", words).code == code
    never = airflow_chefconsul("set", "demo", "db", *OFF, EMPTY, "--allowed-from", words)
    assert never.code == (0 if "none" in words else 4)


def test_leased_environment(airflow_chefconsul, declare, consul_kv):
    """Exit code 4, and one line with the holder; nothing is written."""
    declare()
    consul_kv["demo/_lease"] = make_lease().to_json()
    before = dict(consul_kv)
    ended = airflow_chefconsul("set", "demo", "web", *OFF, EMPTY)
    assert (ended.code, ended.out) == (4, "")
    assert len(ended.err.splitlines()) == 1
    assert "environment demo is held by Dag shop_rollout, run manual__1" in ended.err
    assert dict(consul_kv) == before


@pytest.mark.parametrize("words", [(), ("--canary", "1"), ("--wait",)])
def test_nobody_to_converge(airflow_chefconsul, declare, consul_kv, words):
    """A tier without members may be mistyped: nothing is written, and the error lists the existing tiers."""
    declare("db")
    declare("web")
    before = dict(consul_kv)
    ended = airflow_chefconsul("set", "demo", "wbe", *OFF, *words)
    assert (ended.code, ended.out) == (4, "")
    assert ended.err == (
        "airflow chefconsul: error: demo/wbe has no members: Consul lists no node for service:wbe; tiers of demo: "
        "db, web; --without-members declares it before it has any nodes\n"
    )
    assert dict(consul_kv) == before


def test_declared_before_there_is_a_node(airflow_chefconsul, consul_kv):
    """Allowed with the option for it."""
    assert airflow_chefconsul("set", "demo", "web", *OFF, EMPTY).code == 0
    assert read_desired(consul_kv).stable.state == "off"


def test_wait_until_converged(airflow_chefconsul, members, consul_kv):
    """With the sensor's progress lines; with JSON, standard output holds only the result."""
    members("web-1")
    consul_kv["demo/web/nodes/web-1"] = make_report(generation=1, state="off").to_json()
    ended = airflow_chefconsul("set", "demo", "web", *OFF, "--wait", "-o", "json")
    assert ended.code == 0
    assert ended.json == {"environment": "demo", "generations": {"web": 1}, "converged": True}
    assert "demo/web generation 1: 1 of 1 members converged\n" in ended.err


@pytest.mark.parametrize("command", ["set", "rollback"])
def test_absent_members_are_excused_and_said_to_be(airflow_chefconsul, members, consul_kv, command):
    """``--max-absent`` limits their number; ``--max-lost`` that of nodes that die of the release."""
    members("web-1")
    members("web-2", check="critical")
    words = {"set": OFF, "rollback": ("--to", "1")}[command]
    if command == "rollback":
        for state in ("off", "waiting"):
            assert airflow_chefconsul("set", "demo", "web", "--state", state).code == 0
    generation = {"set": 1, "rollback": 3}[command]
    consul_kv["demo/web/nodes/web-1"] = make_report(generation=generation, state="off").to_json()
    ended = airflow_chefconsul(command, "demo", "web", *words, "--wait", "--max-lost", "0")
    assert ended.code == 0
    assert "1 of 2 members converged, 1 absent (web-2)" in ended.out
    assert "demo/web: web-2: absent, its agent is not alive; excused, unless max_absent says otherwise" in ended.out
    ended = airflow_chefconsul(command, "demo", "web", *words, "--wait", "--max-absent", "0", "--timeout", "1s")
    assert ended.code == 3


def test_wait_that_fails(airflow_chefconsul, members, consul_kv):
    """Exit code 3; the nodes that held it up with reasons, and finally the limit that was exceeded."""
    members("web-1")
    consul_kv["demo/web/nodes/web-1"] = make_failure(generation=1, state="off").to_json()
    ended = airflow_chefconsul("set", "demo", "web", *OFF, "--wait", "--timeout", "60s")
    assert ended.code == 3
    assert "demo/web: web-1: failed converging generation 1" in ended.out
    assert ended.err == (
        "airflow chefconsul: error: demo/web: 1 of 1 members present failed (web-1); max_failed=0 is spent\n"
    )
    again = airflow_chefconsul(
        "set", "demo", "web", *OFF, "--wait", "--timeout", "1s", "--max-failed", "100%", "-o", "json"
    )
    assert again.code == 3
    assert again.json == {"environment": "demo", "generations": {"web": 1}, "converged": False}
    assert "deadline passed: 0 of 1 members present converged, 1 are needed" in again.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("de/mo", "web", *OFF), "environment 'de/mo' is not a name"),
        (("demo", "..", *OFF), "tier '..' is not a name"),
        (("demo", "web", "--state", "o f f"), "state 'o f f' is not a name"),
        (("demo", "web", *OFF, "--value", "release"), "--value must be NAME=VALUE, not 'release'"),
        (("demo", "web", *OFF, "--value", "=1"), "--value must be NAME=VALUE"),
        (("demo", "web", *OFF, "--value", "a=1", "--value-json", "a=2"), "--value-json 'a=2': a is given twice"),
        (("demo", "web", *OFF, "--value-json", "n=x"), "--value-json n=x: 'x' is not JSON; for text use"),
        (("demo", "web", *OFF, "--value-json", "n=[1]"), "values['n'] must be a string, number, boolean or null"),
        (("demo", "web", *OFF, "--value-json", "n=NaN"), "values['n'] must be a string, number, boolean or null"),
        (("demo", "web", *OFF, "--canary", "0"), "canary must be a number of nodes from 1"),
        (("demo", "web", *OFF, "--canary", "150%"), "canary must be a number of nodes from 1"),
        (("demo", "web", *OFF, "--canary", "web/1"), "node 'web/1' is not a name"),
        (("demo", "web", *OFF, "--canary", ","), "canary is an empty list"),
        (("demo", "web", *OFF, "--spread", "meta:zone"), "--spread requires --canary or --waves"),
        (("demo", "web", *OFF, "--canary", "1", "--spread", "zone"), 'spread must be "meta:KEY"'),
        (("demo", "web", *OFF, EMPTY, "--canary", "1"), "--without-members cannot be combined with --canary"),
        (("demo", "web", *OFF, EMPTY, "--wait"), "--without-members cannot be combined with --wait"),
        (("demo", "web", *OFF, "--allowed-from", "o f"), "allowed_from 'o f' is not a name"),
        (("demo", "web", *OFF, "--sequence", "yesterday"), "sequence must be seconds since the epoch"),
        (("demo", "web", *OFF, "--members", "servise:web"), "invalid members 'servise:web'"),
        (("demo", "web", *OFF, "--members", ","), "members is an empty list"),
        (("demo", "web", *OFF, "--timeout", "5m"), "--timeout requires --wait"),
        (("demo", "web", *OFF, "--min-members", "2"), "--min-members requires --wait"),
        (("demo", "web", *OFF, "--wait", "--timeout", "5"), "--timeout must be a number with s, m, h or d"),
        (("demo", "web", *OFF, "--wait", "--timeout", "0s"), "timeout must be a timedelta above zero"),
        (("demo", "web", *OFF, "--wait", "--max-failed", "many"), "max_failed must be a number of nodes"),
        (("demo", "web", *OFF, "--wait", "--min-members", "0"), "min_members must be a number of at least 1"),
    ],
)  # fmt: skip
def test_bad_input_writes_nothing(airflow_chefconsul, consul_kv, words, why):
    """Exit code 2, and one line that names the mistake."""
    ended = airflow_chefconsul("set", *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"airflow chefconsul: error: {why}")
    assert len(ended.err.splitlines()) == 1
    assert not consul_kv
    plan = [word for word in words if word not in {"--wait", "--timeout", "--max-failed", "--min-members"}]
    if len(plan) == len(words):
        assert airflow_chefconsul("plan", *plan).err == ended.err


def test_generation_for_scripts(airflow_chefconsul, members, consul_kv):
    """Without a wait, the output does not mention convergence."""
    ended = airflow_chefconsul("set", "demo", "web", *OFF, EMPTY, "-o", "json")
    assert json.loads(ended.out) == {"environment": "demo", "generations": {"web": 1}}


def test_member_that_nobody_has_writes_nothing(airflow_chefconsul, members, consul_kv):
    """A mistyped member is refused before the write, as by the operator."""
    members("web-1")
    ended = airflow_chefconsul("set", "demo", "web", *OFF, "--members", "wbe-1")
    assert ended.code == 2
    assert "Consul lists no node 'wbe-1', did you mean 'web-1'?" in ended.err
    assert list(consul_kv) == []
