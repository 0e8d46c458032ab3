"""`airflow chefconsul status`, once."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from airflow_provider_chefconsul.domain.model.report import RunError, Status
from tests.support.airflow_home import connect
from tests.support.factory import make_desired, make_failure, make_lease, make_report

HOSTILE = RunError("E\x1b]0;owned\x07", "first\n\x1b[2J[bold red]second[/]\u202e\x9b1m", "file[/x]")


def report(keys, node="web-1", *, tier="web", make=make_report, **overrides):
    """Let a node report."""
    keys[f"demo/{tier}/nodes/{node}"] = make(node, tier=tier, **{"generation": 1} | overrides).to_json()


def test_tier_that_has_converged(airflow_chefconsul, declare, members, consul_kv):
    """The headline, the writer, a row per node, and exit code 0."""
    members("web-1", "web-2")
    declare()
    for node in ("web-1", "web-2"):
        report(consul_kv, node)
    ended = airflow_chefconsul("status", "demo", "web")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0] == "demo/web: assigned generation 1, state converged, release=2.5.0; 2 of 2 members converged"
    assert "written by airflow chefconsul set, " in lines[1]
    assert lines[2].split() == ["tier", "node", "agent", "assigned", "reported", "standing", "age", "why"]
    assert lines[4].split()[:8] == ["web", "web-1", "up", "1", "converged", "1", "converged", "converged"]
    assert lines[5].split()[0] == "web-2"


def test_nodes_that_hold_a_tier_up(airflow_chefconsul, declare, members, consul_kv):
    """Each with its standing and why; exit code 3."""
    members("web-1", "web-2", "web-4", "web-5")
    members("web-3", check="critical")
    declare()
    report(consul_kv, "web-1", make=make_failure)
    report(consul_kv, "web-2", status=Status.RUNNING, finished_at=None)
    report(consul_kv, "web-4", generation=0)
    consul_kv["demo/web/nodes/web-5"] = "{"
    ended = airflow_chefconsul("status", "demo")
    assert ended.code == 3
    rows = {line.split()[0]: line for line in ended.out.splitlines()[4:] if "web-" in line}
    for words in (
        "web-2 up 1 converged 1 converged running",
        "web-3 down 1 converged - absent its agent is not alive",
        "web-4 up 1 converged 0 converged old_generation",
        "web-5 up 1 converged - malformed_report",
    ):
        assert words in " ".join(rows[words.split()[0]].split())
    assert "failed" in rows["web"]  # the first row begins with the tier
    assert "Errno::ENOSPC: No space left on device in file[/srv/web/index.html]" in ended.out


def test_absent_member_is_excused(airflow_chefconsul, declare, members, consul_kv):
    """As by a wait's default policy; but not if it is the only member."""
    members("web-1")
    members("web-2", check="critical")
    declare()
    report(consul_kv)
    assert airflow_chefconsul("status", "demo", "web").code == 0
    assert airflow_chefconsul("status", "demo", "web", "--members", "web-2").code == 3


def test_tier_without_members_has_not_converged(airflow_chefconsul, declare):
    """Silence is never success."""
    declare()
    ended = airflow_chefconsul("status", "demo")
    assert ended.code == 3
    assert "it has no members: Consul lists no node for it" in ended.out


def test_nodes_are_in_natural_order(airflow_chefconsul, declare, members):
    """In the table, the obstacles, explain and plan: web-2 comes before web-10."""
    members("web-10", "web-2", "web-1")
    declare()
    out = airflow_chefconsul("status", "demo", "web").out
    assert "held up by 3 not_reported (web-1, web-2, web-10)" in out
    nodes = [word for line in out.splitlines()[3:] for word in line.split()[:2] if word.startswith("web-")]
    assert nodes == ["web-1", "web-2", "web-10"]
    explained = airflow_chefconsul("explain", "demo", "web", "-o", "json").json["nodes"]
    assert [node["node"] for node in explained] == nodes
    assert ": web-1, web-2, web-10\n" in airflow_chefconsul("plan", "demo", "web", "--state", "off").out


def test_lease_is_shown(airflow_chefconsul, declare, consul_kv):
    """With the tiers that it fences."""
    declare()
    consul_kv["demo/_lease"] = make_lease().to_json()
    assert "lease held by Dag shop_rollout, run manual__1, acquired" in airflow_chefconsul("status", "demo").out


@pytest.mark.parametrize(
    ("frozen", "name", "words", "way_out"),
    [
        (("web",), "web", " frozen by airflow chefconsul freeze, ", "unfreeze demo web"),
        ((), "*", " with all tiers frozen by airflow chefconsul freeze, ", "unfreeze demo '*'"),
    ],
)
def test_freeze_is_shown(airflow_chefconsul, declare, members, frozen, name, words, way_out):
    """Who, since when, until when and why; and the command that ends it, which ends it."""
    members("web-1")
    declare()
    declare("app")
    frozen_now = airflow_chefconsul(
        "freeze", "demo", *frozen, "--reason", "evening", "--until", "2099-01-01T00:00:00Z", "-o", "json"
    )
    since = frozen_now.json["frozen"][name]["since"]
    for words_of_command in (
        ("status", "demo", "web"),
        ("explain", "demo", "web"),
        ("explain", "demo", "web", "web-1"),
    ):
        out = " ".join(airflow_chefconsul(*words_of_command).out.split())  # on fewer lines than a terminal needs
        assert words in out
        assert f" since {since}, until 2099-01-01T00:00:00Z: evening; to end that: chefconsul {way_out}" in out
        document = airflow_chefconsul(*words_of_command, "-o", "json").json
        assert document.get("tiers", [document])[0]["frozen"] == frozen_now.json["frozen"]
    out = airflow_chefconsul("status", "demo").out
    assert out.count("frozen by") == (1 if frozen else 2)
    assert airflow_chefconsul(*shlex.split(way_out)).code == 0
    assert "frozen" not in airflow_chefconsul("status", "demo").out
    assert airflow_chefconsul("status", "demo", "-o", "json").json["tiers"][1]["frozen"] == {}


def test_freeze_that_cannot_be_read(airflow_chefconsul, declare, consul_kv):
    """Nobody can say whether anything is frozen, and nobody may write; the tiers are shown all the same."""
    declare()
    consul_kv["demo/_freeze"] = "junk"
    out = " ".join(airflow_chefconsul("status", "demo").out.split())
    assert "what is frozen cannot be read, so nobody may write: " in out
    assert "delete this key to end every freeze of the environment" in out
    assert airflow_chefconsul("status", "demo", "-o", "json").json["tiers"][0]["frozen"] is None


def test_json_has_the_documented_shape(airflow_chefconsul, declare, members, consul_kv):
    """Scripts depend on it: fields are only ever added."""
    members("web-1", "web-2")
    declare()
    report(consul_kv, finished_at="2026-11-22T08:00:09Z")
    ended = airflow_chefconsul("status", "demo", "--output", "json")
    assert ended.code == 3
    (tier,) = ended.json["tiers"]
    assert ended.json["environment"] == "demo"
    assert (tier["tier"], tier["converged"], tier["problem"]) == ("web", False, None)
    assert tier["counts"] == {"converged": 1, "not_reported": 1}
    assert tier["obstacles"] == ["held up by 1 not_reported (web-2)"]
    assert tier["frozen"] == {}
    stable = tier["desired"]["stable"]
    assert stable == {"generation": 1, "state": "converged", "values": {"release": "2.5.0"}, "id": stable["id"]}
    assert tier["desired"]["canary"] is None
    assigned = {"generation": 1, "state": "converged"}
    assert tier["nodes"] == [
        {
            "node": "web-1",
            "agent": "up",
            "assigned": assigned,
            "reported": assigned | {"status": "succeeded"},
            "standing": "converged",
            "since": "2026-11-22T08:00:09+00:00",
            "why": "",
        },
        {
            "node": "web-2",
            "agent": "up",
            "assigned": assigned,
            "reported": None,
            "standing": "not_reported",
            "since": None,
            "why": "has never reported",
        },
    ]


def test_desired_state_that_cannot_be_read(airflow_chefconsul, members, consul_kv):
    """It is shown as such, and the other tiers follow."""
    members("web-1")
    consul_kv["demo/web/desired"] = "{"
    ended = airflow_chefconsul("status", "demo", "--output", "json")
    assert ended.code == 3
    (tier,) = ended.json["tiers"]
    assert "web/desired: not JSON" in tier["problem"]
    assert tier["nodes"][0]["standing"] is None
    assert "its desired state cannot be read" in airflow_chefconsul("status", "demo").out


def test_what_is_not_there(airflow_chefconsul, declare):
    """The error lists what exists; exit code 3."""
    ended = airflow_chefconsul("status", "demo")
    assert (ended.code, ended.out) == (3, "")
    next_step = "nothing is declared in demo yet: airflow chefconsul set demo TIER --state …; environments at http://"
    assert ended.err.startswith(f"airflow chefconsul: error: {next_step}")
    assert ended.err.endswith("/: none\n")
    declare()
    declare("db")
    assert "airflow chefconsul set live web --state …" in airflow_chefconsul("status", "live", "web").err
    assert airflow_chefconsul("status", "live").err.endswith("/: demo\n")
    ended = airflow_chefconsul("explain", "demo", "wbe")
    assert ended.code == 3
    assert ended.err == (
        "airflow chefconsul: error: environment demo has no tier wbe: airflow chefconsul set demo wbe --state …; "
        "there are: db, web\n"
    )


@pytest.mark.parametrize(
    "command", [("status", "demo"), ("explain", "demo", "web"), ("explain", "demo", "web", "web-1")]
)
def test_text_of_nodes_cannot_control_the_terminal(airflow_chefconsul, declare, members, consul_kv, command):
    """Escape sequences are shown, not obeyed; markup is text."""
    members("web-1")
    declare()
    report(consul_kv, make=make_failure, error=HOSTILE)
    ended = airflow_chefconsul(*command)
    everything = ended.out + ended.err
    assert all(each.isprintable() or each == "\n" for each in everything)
    assert r"\x1b[2J[bold red]second[/]\u202e\x9b1m" in "".join(everything.split("\n"))
    document = airflow_chefconsul(*command, "--output", "json").out
    assert document.isascii()
    assert all(each.isprintable() or each == "\n" for each in document)


def test_terminal_of_60_columns(airflow_chefconsul, declare, members, consul_kv, monkeypatch):
    """No line is wider, every node has its row and standing, and a long reason is cut, not the name."""
    monkeypatch.setenv("COLUMNS", "60")
    members("web-1", "web-2", "a-node-with-a-name-of-some-length")
    declare()
    report(consul_kv, make=make_failure, error=RunError("E", "no space " * 200))
    consul_kv["demo/web/nodes/web-2"] = "{"
    lines = airflow_chefconsul("status", "demo").out.splitlines()
    assert max(map(len, lines)) <= 60
    assert len(lines) < 30
    rows = [line.split()[:3] for line in lines[lines.index(next(each for each in lines if each.startswith("───"))) :]]
    assert ["web-1", "1", "failed"] in rows
    assert ["web-2", "1", "malformed_report"] in rows
    assert ["a-node-with-a-n…", "1", "not_reported"] in rows


def test_long_reason_leaves_room_for_the_other_nodes(airflow_chefconsul, declare, members, consul_kv):
    """2,000 characters become a few lines of the table; explain shows them all."""
    members("web-1", "web-2")
    declare()
    report(consul_kv, make=make_failure, error=RunError("E", "x" * 2000))
    lines = airflow_chefconsul("status", "demo").out.splitlines()
    assert len(lines) < 15
    assert any("xxx…" in line for line in lines)
    assert "x" * 2000 in airflow_chefconsul("explain", "demo", "web").out


def test_large_tier_lists_what_holds_it_up(airflow_chefconsul, declare, members, consul_kv):
    """For more than 40 nodes, unless all are requested; JSON always has all."""
    nodes = [f"web-{number}" for number in range(60)]
    declare()
    for node in nodes[3:]:
        report(consul_kv, node)
    listed = ("--members", ",".join(nodes))
    members(*nodes)
    out = airflow_chefconsul("status", "demo", *listed).out
    assert "3 of 60 nodes are listed; --all lists the others" in out
    assert [line.split()[0] for line in out.splitlines() if "has never reported" in line] == ["web", "web-1", "web-2"]
    assert "web-59" not in out
    assert "web-59" in airflow_chefconsul("status", "demo", *listed, "--all").out
    (tier,) = airflow_chefconsul("status", "demo", *listed, "--output", "json").json["tiers"]
    assert len(tier["nodes"]) == 60


def test_worst_first(airflow_chefconsul, declare, members, consul_kv):
    """Tiers that have not converged come before the others, failed nodes before those that run; JSON goes by name."""
    for tier in ("app", "db", "web"):
        members(*(f"{tier}-{number}" for number in range(1, 4)), tier=tier)
        declare(tier)
        for number in range(1, 4):
            report(consul_kv, f"{tier}-{number}", tier=tier)
    report(consul_kv, "db-1", tier="db", status=Status.RUNNING, finished_at=None)
    report(consul_kv, "web-2", status=Status.RUNNING, finished_at=None)
    report(consul_kv, "web-3", make=make_failure)
    lines = airflow_chefconsul("status", "demo").out.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("demo/")] == ["demo/web", "demo/db", "demo/app"]
    assert re.findall(r"((?:app|db|web)-\d) +up ", "\n".join(lines)) == [
        "web-3", "web-2", "web-1", "db-1", "db-2", "db-3", "app-1", "app-2", "app-3",
    ]  # fmt: skip
    document = airflow_chefconsul("status", "demo", "-o", "json").json
    assert [tier["tier"] for tier in document["tiers"]] == ["app", "db", "web"]
    assert [node["node"] for node in document["tiers"][2]["nodes"]] == ["web-1", "web-2", "web-3"]


def test_fifty_lines_at_most(airflow_chefconsul, declare, members, consul_kv):
    """The last one says how many are missing; --all prints them."""
    for tier in ("app", "web"):
        members(*(f"{tier}-{number}" for number in range(40)), tier=tier)
        declare(tier)
    for number in range(40):
        report(consul_kv, f"app-{number}", tier="app")
    lines = airflow_chefconsul("status", "demo").out.splitlines()
    assert len(lines) == 50
    assert lines[-1] == "… 39 more lines: --all prints them"
    assert lines[0].startswith("demo/web: ")
    assert all(f"web-{number} " in " ".join(lines) for number in range(40))
    everything = airflow_chefconsul("status", "demo", "--all").out
    assert all(f" {tier}-{number} " in everything for tier in ("app", "web") for number in range(40))


def test_pipe_is_not_padded(airflow_chefconsul, declare, members, consul_kv):
    """No line ends with the spaces that fill a column on a terminal."""
    members("web-1", "a-node-with-a-name-of-some-length")
    declare()
    report(consul_kv)
    for words in (("status", "demo"), ("history", "demo", "web")):
        lines = airflow_chefconsul(*words).out.splitlines()
        assert len(lines) > 3
        assert [line for line in lines if line != line.rstrip()] == []


def test_environment_is_read_and_nothing_else(airflow_chefconsul, declare, members, consul_kv):
    """Status changes no key."""
    members("web-1")
    declare()
    before = dict(consul_kv)
    for words in (
        ["status", "demo"],
        ["explain", "demo", "web"],
        ["history", "demo", "web"],
        ["lease", "show", "demo"],
    ):
        airflow_chefconsul(*words)
    assert dict(consul_kv) == before


@pytest.mark.parametrize("more", [(), ("--watch",)])
def test_token_that_misses_a_tier_sees_no_environment(
    airflow_chefconsul, older_acl_consul, consul_root, monkeypatch, more
):
    """The rest would pass for all of it; a named tier can be shown."""
    for tier in ("web", "db"):
        older_acl_consul.put(f"kv/{consul_root}/demo/{tier}/desired", json.loads(make_desired().to_json()))
    token = older_acl_consul.create_token(
        f'key_prefix "{consul_root}/" {{ policy = "read" }} key_prefix "{consul_root}/demo/db/" {{ policy = "deny" }} '
        'acl = "read" node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }'
    )
    connect(monkeypatch, older_acl_consul.port, password=token, prefix=consul_root)
    ended = airflow_chefconsul("status", "demo", *more)
    assert ended.code == 1
    assert f'the ACL token\'s rules deny key_prefix "{consul_root}/demo/db/"' in ended.err
    ended = airflow_chefconsul("status", "demo", "web")
    assert ended.code == 3
    assert "assigned generation 7, state converged, release=2.5.0; 0 of 0 members converged" in ended.out


@pytest.mark.parametrize(
    "words", [("status", "demo"), ("history", "demo", "web"), ("freeze", "demo", "web", "--reason", "x")]
)
def test_token_that_may_not_read_is_no_empty_environment(
    airflow_chefconsul, acl_consul, consul_root, monkeypatch, words
):
    """Consul lists nothing for it, as if nothing were declared; the error says what is the matter."""
    acl_consul.put(f"kv/{consul_root}/demo/web/desired", json.loads(make_desired().to_json()))
    connect(
        monkeypatch,
        acl_consul.port,
        password=acl_consul.create_token('node_prefix "" { policy = "read" }'),
        prefix=consul_root,
    )
    ended = airflow_chefconsul(*words)
    assert (ended.code, ended.out) == (1, "")
    assert "Permission denied" in ended.err
