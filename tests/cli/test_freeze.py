"""`airflow chefconsul freeze` and `unfreeze`."""

from __future__ import annotations

from datetime import datetime

import pytest

FREEZE = ("freeze", "demo", "--reason", "evening")
SET = ("set", "demo", "web", "--state", "off", "--without-members")


def test_freeze_and_unfreeze(airflow_chefconsul, declare, consul_kv):
    """Says what is frozen, by whom and why; until it ends, writes and rollbacks are refused with the same words."""
    declare()
    declare("app")
    ended = airflow_chefconsul("freeze", "demo", "web", "--reason", "evening")
    assert ended.code == 0
    assert ended.out.startswith("demo/web: frozen by airflow chefconsul freeze, ")
    assert ended.out.endswith(", until somebody ends it: evening\n")
    before = dict(consul_kv)
    for words in (SET, ("plan", *SET[1:]), ("rollback", "demo", "web", "--to", "1")):
        ended = airflow_chefconsul(*words)
        assert ended.code == (4 if words[0] != "rollback" else 0), words  # it is at generation 1 already
    assert "demo/web: frozen by airflow chefconsul freeze, " in airflow_chefconsul(*SET).err
    assert dict(consul_kv) == before
    assert airflow_chefconsul("set", "demo", "app", *SET[3:]).code == 0
    ended = airflow_chefconsul("unfreeze", "demo", "web", "--reason", "morning")
    assert (ended.code, ended.out) == (0, "demo: nothing is frozen\n")
    assert airflow_chefconsul(*SET).code == 0


def test_whole_environment(airflow_chefconsul, declare):
    """Also tiers that are declared later; a tier's own entry stands beside it."""
    declare()
    assert airflow_chefconsul(*FREEZE, "-o", "json").json["frozen"].keys() == {"*"}
    ended = airflow_chefconsul("set", "demo", "later", *SET[3:])
    assert ended.code == 4
    frozen = airflow_chefconsul("freeze", "demo", "web", "--reason", "its own", "-o", "json").json["frozen"]
    assert {name: each["reason"] for name, each in frozen.items()} == {"*": "evening", "web": "its own"}
    assert frozen["web"].keys() == {"by", "since", "until", "reason"}
    ended = airflow_chefconsul("unfreeze", "demo", "web")
    assert ended.code == 3
    assert ended.out.startswith("demo/*: frozen by ")
    assert ended.out.endswith(
        "demo: still frozen as a whole, and so web; to end that: airflow chefconsul unfreeze demo '*'\n"
    )
    assert airflow_chefconsul("unfreeze", "demo", "-o", "json").json == {"environment": "demo", "frozen": {}}


@pytest.mark.parametrize("until", ["2h", "2099-12-01T08:00:00+01:00"])
def test_until(airflow_chefconsul, declare, until):
    """From now, or at a time."""
    declare()
    entry = airflow_chefconsul(*FREEZE, "--until", until, "-o", "json").json["frozen"]["*"]
    lasts = datetime.fromisoformat(entry["until"]) - datetime.fromisoformat(entry["since"])
    assert lasts.total_seconds() == 7200 if until == "2h" else entry["until"] == "2099-12-01T07:00:00Z"


def test_nothing_to_end(airflow_chefconsul, declare, consul_kv):
    """It succeeds, says so, and tells the journal nothing."""
    declare()
    before = dict(consul_kv)
    ended = airflow_chefconsul("unfreeze", "demo", "web")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "demo: nobody froze web, so there is nothing to end",
        "demo: nothing is frozen",
    ]
    assert dict(consul_kv) == before
    airflow_chefconsul(*FREEZE)
    ended = airflow_chefconsul("unfreeze", "demo", "web")
    assert ended.code == 3
    assert "nobody froze web" in ended.out
    assert "demo/*: frozen by" in ended.out
    ended = airflow_chefconsul("unfreeze", "demo", "web", "-o", "json")
    assert (ended.code, list(ended.json["frozen"])) == (3, ["*"])


def test_whole_ends_and_a_tier_stays(airflow_chefconsul, declare):
    """One fix passes: what others have frozen by name stays as it is."""
    declare()
    declare("app")
    airflow_chefconsul(*FREEZE)
    airflow_chefconsul("freeze", "demo", "app", "--reason", "not app")
    ended = airflow_chefconsul("unfreeze", "demo", "*")
    assert ended.code == 0
    assert [line.partition(":")[0] for line in ended.out.splitlines()] == ["demo/app"]
    assert airflow_chefconsul(*SET).code == 0
    assert airflow_chefconsul("set", "demo", "app", *SET[3:]).code == 4


def test_freeze_of_a_tier_that_was_forgotten(airflow_chefconsul, declare, consul_kv):
    """It can be ended all the same."""
    declare()
    airflow_chefconsul("freeze", "demo", "web", "--reason", "evening")
    del consul_kv["demo/web/desired"]
    ended = airflow_chefconsul("unfreeze", "demo", "web")
    assert (ended.code, ended.out) == (0, "demo: nothing is frozen\n")
    assert "demo/_freeze" not in consul_kv


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("freeze", "demo", "wbe", "--reason", "x"), 3, "environment demo has no tier wbe: "),
        (("unfreeze", "demo", "wbe"), 3, "environment demo has no tier wbe: "),
        (("freeze", "demo", "we/b", "--reason", "x"), 2, "tier 'we/b' is not a name"),
        (("freeze", "dmeo", "--reason", "x"), 3, "nothing is declared in dmeo yet: "),
        (("unfreeze", "dmeo"), 3, "nothing is declared in dmeo yet: "),
        (("freeze", "demo", "--reason", " "), 2, "reason must say why, for those who have to wait, not ' '"),
        ((*FREEZE, "--until", "2020-01-01T00:00:00Z"), 2, "until lies in the past: 2020-01-01T00:00:00Z; it is "),
        ((*FREEZE, "--until", "0s"), 2, "until lies in the past: "),
        ((*FREEZE, "--until", "tomorrow"), 2, "--until must be a duration such as 2h, or a time with an offset"),
        ((*FREEZE, "--until", "2099-01-01T00:00:00"), 2, "--until must be a duration such as 2h, or a time with an"),
        ((*FREEZE, "--until", "999999999d"), 2, "--until must be a duration such as 2h, or a time with an offset"),
    ],
)
def test_bad_input(airflow_chefconsul, declare, consul_kv, words, code, why):
    """One line, and nothing is written."""
    declare()
    before = dict(consul_kv)
    ended = airflow_chefconsul(*words)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"airflow chefconsul: error: {why}")
    assert dict(consul_kv) == before


def test_freeze_that_cannot_be_read(airflow_chefconsul, declare, consul_kv):
    """Exit code 1 and the way out, for whoever reads or replaces it."""
    declare()
    consul_kv["demo/_freeze"] = "junk"
    for words in (FREEZE, ("unfreeze", "demo")):
        ended = airflow_chefconsul(*words)
        assert ended.code == 1
        assert ended.err.endswith("; delete this key to end every freeze of the environment\n")
