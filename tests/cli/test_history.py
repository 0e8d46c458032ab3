"""`airflow chefconsul history`."""

from __future__ import annotations

from tests.cli.conftest import read_desired


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
