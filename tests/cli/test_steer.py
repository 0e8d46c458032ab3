"""`airflow chefconsul promote` and `abort`."""

from __future__ import annotations

import pytest

from tests.cli.conftest import read_desired

PROMOTE = ("promote", "demo", "web")
ABORT = ("abort", "demo", "web", "--reason", "checkout is slow")


@pytest.fixture
def canary(declare, members):
    """Release 2.5.0 on one of two nodes, 2.4.0 on the other."""
    members("web-1", "web-2")
    declare("web", "2.4.0")
    declare("web", "2.5.0", "--canary", "1")


@pytest.mark.usefixtures("canary")
def test_promote(airflow_chefconsul, consul_kv):
    """All nodes get the canary's generation."""
    ended = airflow_chefconsul(*PROMOTE, "--reason", "looks good")
    assert (ended.code, ended.out) == (
        0,
        "demo/web: promoted: all nodes are assigned generation 2, state converged, release=2.5.0\n",
    )
    desired = read_desired(consul_kv)
    assert (desired.generation, desired.canary, desired.stable.generation) == (2, None, 2)
    assert desired.written_by.task_id == "promote"
    assert airflow_chefconsul("journal", "demo").out.splitlines()[-1].endswith(": looks good")


@pytest.mark.usefixtures("canary")
def test_abort(airflow_chefconsul, consul_kv):
    """The canary's nodes go back to what the others have kept, and the rollout is called off for good."""
    ended = airflow_chefconsul(*ABORT, "-o", "json")
    assert (ended.code, ended.json) == (0, {"environment": "demo", "generations": {"web": 1}})
    assert ended.err == "demo/web: aborted: all nodes are assigned generation 1, state converged, release=2.4.0\n"
    desired = read_desired(consul_kv)
    assert (desired.canary, desired.stable.generation) == (None, 1)
    assert desired.aborted.reason == "checkout is slow"


@pytest.mark.usefixtures("canary")
def test_frozen_tier(airflow_chefconsul, consul_kv):
    """Promoting does not move it; a paused rollout can be called off."""
    airflow_chefconsul("freeze", "demo", "web", "--reason", "evening")
    before = dict(consul_kv)
    ended = airflow_chefconsul(*PROMOTE)
    assert ended.code == 4
    assert "demo/web: frozen by airflow chefconsul freeze, " in ended.err
    assert dict(consul_kv) == before
    assert airflow_chefconsul(*ABORT).code == 0


@pytest.mark.usefixtures("canary")
def test_second_one_is_told_what_stands(airflow_chefconsul):
    """Of two people who press at once, one wins."""
    assert airflow_chefconsul(*PROMOTE).code == 0
    for words, act in ((PROMOTE, "promote"), (ABORT, "abort")):
        ended = airflow_chefconsul(*words)
        assert (ended.code, ended.out) == (4, "")
        assert f"demo/web: no canary is out, so there is nothing to {act}: all nodes are assigned generation 2" in (
            ended.err
        )


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (PROMOTE, 4, "demo/web: no canary is out, so there is nothing to promote: all nodes are assigned generation 1"),
        (ABORT, 4, "demo/web: no canary is out, so there is nothing to abort: all nodes are assigned generation 1"),
        (("promote", "demo", "wbe"), 3, "environment demo has no tier wbe: "),
        (("abort", "demo", "wbe", "--reason", "x"), 3, "environment demo has no tier wbe: "),
        (("abort", "demo", "web", "--reason", " "), 2, "reason must say why"),
        (("promote", "demo", "we/b"), 2, "tier 'we/b' is not a name"),
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


def test_abort_requires_a_reason(airflow_chefconsul, capsys):
    """So say the arguments already."""
    with pytest.raises(SystemExit) as ended:
        airflow_chefconsul(*ABORT[:3])
    assert ended.value.code == 2
    assert "--reason" in capsys.readouterr().err
