"""The example Dag, run by Airflow for days of its calendar against real agents."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from demo.nodes import TIERS
from tests.dags.examples import DAGS, load
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect

CALENDAR = json.loads((DAGS / "releases.json").read_text())
DAYS = [datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in CALENDAR]
RELEASES = list(CALENDAR.values())


def history(fleet: Fleet, tier: str) -> list[str]:
    """The releases that a tier was given, oldest first."""
    keys = sorted(key for key in fleet.keys if key.startswith(f"demo/_history/{tier}/"))
    return [json.loads(fleet.keys[key])["stable"]["values"]["release"] for key in keys]


def without_leases(fleet: Fleet) -> dict[str, str]:
    """All keys but the lease, and the journal, which tells who took it."""
    return {key: text for key, text in fleet.keys.items() if key != "demo/_lease" and "/_journal/" not in key}


def test_days_in_order_again_and_backwards(fleet: Fleet, run_dag, monkeypatch, capsys):
    """In order each day is an upgrade; again, the newest changes nothing, and an earlier one is skipped as stale."""
    connect(monkeypatch, fleet.cluster.http_port)
    dag = load("backfill_environment_upgrades")
    earlier, later = DAYS[-2:]
    for day, releases in ((earlier, RELEASES[-2:-1]), (later, RELEASES[-2:])):
        assert set(run_dag(dag, logical_date=day).values()) == {"success"}
        for tier in TIERS:
            assert history(fleet, tier) == releases
            assert fleet.statuses(tier) == {"succeeded"}

    before = without_leases(fleet)
    capsys.readouterr()
    for day, ending in ((later, "success"), (earlier, "skipped")):
        states = run_dag(dag, logical_date=day)
        assert states["run"] == "success"
        assert states["release_lease"] == "success"
        assert {state for task, state in states.items() if task.endswith("_converged")} == {ending}
    assert without_leases(fleet) == before
    words = f"it belongs to sequence {earlier:%Y-%m-%dT%H:%M:%SZ}, and generation 2 of sequence"
    printed = capsys.readouterr().out
    assert f"demo/db: the write is stale: {words} {later:%Y-%m-%dT%H:%M:%SZ} was already written by" in printed
    assert "demo/_lease" not in fleet.keys


def test_nothing_is_due_before_the_first_release(run_dag, consul_connection, consul_kv):
    """Then there is nothing to hold the environment for either."""
    states = run_dag(load("backfill_environment_upgrades"), logical_date=datetime(2026, 10, 4, tzinfo=UTC))
    assert states.pop("run") == "success"
    assert set(states.values()) == {"skipped"}
    assert dict(consul_kv) == {}


@pytest.mark.parametrize(
    ("dates", "release"),
    [
        ({"logical_date": DAYS[1]}, RELEASES[1]),
        ({"logical_date": None, "partition_date": DAYS[2]}, RELEASES[2]),
        ({"logical_date": None, "partition_date": None}, RELEASES[3]),
        ({"logical_date": None}, RELEASES[3]),
    ],
)
def test_release_of_a_run(dates, release):
    """The newest that is due at the logical time; without one at the partition's, or at that the run was due."""
    choose = load("backfill_environment_upgrades").get_task("choose_release").python_callable
    assert choose(SimpleNamespace(run_after=datetime(2026, 10, 30, tzinfo=UTC), **dates)) == release
    with pytest.raises(AirflowSkipException, match="No release is due by 2026-01-01"):
        choose(SimpleNamespace(logical_date=datetime(2026, 1, 1, tzinfo=UTC)))


def test_one_run_for_each_day_of_the_calendar():
    """As backfills and the scheduler see it, after the Dag went through the database."""
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.from_dict(DagSerialization.to_dict(load("backfill_environment_upgrades")))
    runs = stored.iter_dagrun_infos_between(DAYS[0], DAYS[-1])
    assert [run.logical_date for run in runs] == DAYS
