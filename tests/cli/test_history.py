"""`airflow chefconsul history`."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from tests.cli.conftest import read_desired
from tests.support.factory import make_assignment, make_failure, make_report, make_writer


def test_generations_newest_first(airflow_chefconsul, declare, members, consul_kv):
    """Assignment, writer and time of each; current ones are marked, as canary if they are one."""
    members("web-1", "web-2")
    declare("web", "2.4.0")
    declare("web", "2.5.0")
    declare("web", "2.6.0", "--canary", "1")
    ended = airflow_chefconsul("history", "demo", "web")
    assert ended.code == 0
    rows = [line.split() for line in ended.out.splitlines() if "release=" in line]
    assert [row[: row.index("converged") + 1] for row in rows] == [
        ["*", "3", "converged"],
        ["*", "2", "converged"],
        ["1", "converged"],
    ]
    assert rows[0][3:5] == ["canary", "release=2.6.0"]
    assert "airflow chefconsul set, " in ended.out
    document = airflow_chefconsul("history", "demo", "web", "-o", "json").json
    newest, *_, oldest = document["generations"]
    assert [each["generation"] for each in document["generations"]] == [3, 2, 1]
    assert (newest["canary"], newest["assigned"], newest["values"]) == (True, True, {"release": "2.6.0"})
    assert (oldest["canary"], oldest["assigned"], oldest["values"]) == (False, False, {"release": "2.4.0"})
    assert oldest["sequence"] <= read_desired(consul_kv).sequence


@pytest.fixture
def rollout(airflow_chefconsul, declare, members, consul_kv):
    """Release 2.5.0 on one node, which converges, then on all, where one fails; then back to 2.4.0."""
    members("web-1", "web-2")
    declare("web", "2.4.0")
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=2).to_json()
    declare("web", "2.5.0", "--canary", "web-1", "--wait")
    declare("web", "2.5.0", "--canary", "100%")
    assert airflow_chefconsul("promote", "demo", "web", "--reason", "looks good").code == 0
    consul_kv["demo/web/nodes/web-2"] = make_failure("web-2", generation=2).to_json()
    words = ("set", "demo", "web", "--state", "converged", "--value", "release=2.5.0", "--wait")
    assert airflow_chefconsul(*words).code == 3
    assert airflow_chefconsul("rollback", "demo", "web", "--reason", "checkout is slow").code == 0


@pytest.mark.usefixtures("rollout")
def test_what_became_of_generations(airflow_chefconsul):
    """Verdicts, widenings, promotions and rollbacks stand above the generation that they are about."""
    ended = airflow_chefconsul("history", "demo", "web")
    rows = [" ".join(line.split()) for line in ended.out.splitlines()[3:] if line.strip()]
    begins = [
        "rolled back: generation 3: checkout is slow ",
        "* 3 converged release=2.4.0 ",
        "failed: generation 2: ",
        "promoted: generation 2: looks good ",
        "widened: generation 2, canary of 100% ",
        "converged: generation 2, canary of nodes web-1 ",
        "2 converged canary release=2.5.0 ",
        "1 converged release=2.4.0 ",
    ]
    found = [next((begin for begin in begins if row.startswith(begin)), None) for row in rows]
    assert [begin for begin in found if begin] == begins
    document = airflow_chefconsul("history", "demo", "web", "-o", "json").json
    acts = ["rolled_back", "failed", "promoted", "widened", "converged"]
    assert [(each["act"], each["generation"]) for each in document["events"]] == list(
        zip(acts, [3, 2, 2, 2, 2], strict=True)
    )
    newest = document["events"][0]
    assert (newest["reason"], newest["wave"]) == ("checkout is slow", None)
    assert newest["by"].startswith("airflow chefconsul rollback, ")


def test_canary_that_was_rolled_back(airflow_chefconsul, declare, members):
    """It stands above the canary's generation, though it is about the one that all go back to."""
    members("web-1", "web-2")
    declare("web", "2.4.0")
    declare("web", "2.5.0", "--canary", "1")
    airflow_chefconsul("abort", "demo", "web", "--reason", "errors")
    lines = airflow_chefconsul("history", "demo", "web").out.splitlines()
    numbers = [number for number, line in enumerate(lines) if "rolled back: generation 1: errors" in line]
    assert numbers < [number for number, line in enumerate(lines) if "canary release=2.5.0" in line]


def test_entries_of_a_clock_that_is_behind(airflow_chefconsul, declare, members, consul_kv):
    """An event stands above its generation all the same."""
    members("web-1")
    declare("web", "2.4.0")
    entry = JournalEntry("2020-01-01T00:00:00.000Z", make_writer(), "converged", {"web": make_assignment(1)})
    consul_kv["demo/_journal/20200101T000000.000Z-0"] = entry.to_json()
    lines = airflow_chefconsul("history", "demo", "web").out.splitlines()
    numbers = [number for number, line in enumerate(lines) if "converged: generation 1" in line]
    assert numbers < [number for number, line in enumerate(lines) if line.strip().startswith("* 1")]
    assert numbers


def test_narrow_terminal(airflow_chefconsul, declare, monkeypatch):
    """The writer is left out, and nothing is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    declare("web", "a-release-with-a-long-name-" * 4)
    lines = airflow_chefconsul("history", "demo", "web").out.splitlines()
    assert max(map(len, lines)) <= 60
    assert "written by" not in "".join(lines)
    assert "a-release-with-a-long-name" in "".join("".join(lines).split())


def test_unknown_tier(airflow_chefconsul, declare):
    """Exit code 3, as everywhere."""
    declare()
    assert airflow_chefconsul("history", "demo", "db").code == 3
