"""A fleet under test, and Dags that are run against it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.simulator.registration import NameTaken
from airflow_provider_chefconsul.testing.airflow_home import AirflowHome, DagNotRun
from tests.testing.conftest import StartFleet

BEFORE = {"state": "converged", "values": {"release": "2.4.0"}}
ROLLOUT = """
import os
from datetime import timedelta
from airflow.sdk import DAG, task
from airflow_provider_chefconsul import ConvergencePolicy, transition
from beside import CONNECTION

with DAG("upgrade", schedule=None, params={"release": "0"}):

    @task
    def check():
        assert not {"AIRFLOW_CONN_PRODUCTION", "CONSUL_HTTP_TOKEN"} & set(os.environ)
        assert os.environ["CONSUL_HTTP_ADDR"] == "http://127.0.0.1:PORT"
        return [os.environ["AIRFLOW_VAR_COLOUR"]]

    @task
    def show(colour):
        print("colour", colour)

    @task
    def announce():
        raise RuntimeError("not in a test")

    group = transition(
        "demo", ["web", "db"], "converged", {"release": "{{ params.release }}"}, deferrable=True, command=None,
        policy=ConvergencePolicy(timeout=timedelta(minutes=2)), consul_conn_id=CONNECTION, sequence="{{ ts }}",
    )
    show.expand(colour=check()) >> group >> announce()
"""
RELEASE = """
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_chefconsul import ConvergencePolicy, transition

with DAG("release", schedule=None, params={"release": "0"}):
    transition(
        "demo", "web", "converged", {"release": "{{ params.release }}"}, command=None,
        policy=ConvergencePolicy(timeout=timedelta(seconds=SECONDS)),
    )
"""
EMPTY = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
for name in {names}:
    with DAG(name, schedule=None) as dag:
        EmptyOperator(task_id="nothing")
    globals()[name] = dag
"""
SLEEPY = """
import time
from airflow.sdk import DAG, task
with DAG("sleepy", schedule=None):
    @task
    def sleep():
        print("falls asleep")
        time.sleep(600)
    sleep()
"""


def write(directory: Path, text: str, name: str = "dag.py") -> Path:
    """A Dag file."""
    path = directory / name
    path.write_text(text)
    return path


def test_dag_runs_against_the_fleet(start_fleet: StartFleet, tmp_path, monkeypatch):
    """With triggers, a connection of its own name, a file beside it, variables, and tasks that are not run."""
    monkeypatch.setenv("AIRFLOW_CONN_PRODUCTION", "consul://production:8500")
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "http://production:8500")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "secret")
    write(tmp_path, 'CONNECTION = "consul_staging"\n', "beside.py")
    nodes = start_fleet(web=3, db=1, **BEFORE)
    moment = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
    result = nodes.run(
        write(tmp_path, ROLLOUT.replace("PORT", str(nodes.settings.port))),
        conf={"release": "2.5.0"},
        logical_date=moment,
        consul_conn_id="consul_staging",
        mark_success="announce",
        env={"AIRFLOW_VAR_COLOUR": "green"},
    )
    assert result.state == "success", result.log
    assert result.tasks == {
        "check": "success", "show[0]": "success", "announce": "success", "web_db_converged": "success",
    }  # fmt: skip
    assert "colour green" in result.log
    for tier in ("web", "db"):
        outcome = nodes.tier(tier)
        assert set(outcome.standings.values()) == {"converged"}
        assert outcome.desired
        assert (outcome.desired.stable.values, outcome.desired.sequence) == (
            {"release": "2.5.0"},
            int(moment.timestamp()),
        )
    assert nodes.touched("web", release="2.5.0") == ["web-1", "web-2", "web-3"]
    assert nodes.touched("db") == ["db-1"]
    assert nodes.touched("web", release="2.6.0") == []


@pytest.mark.parametrize(
    ("fault", "seconds", "state", "standing", "words"),
    [
        (
            "web-2 dies after converging with release=2.5.0",
            10,
            "failed",
            "lost",
            r"1 of 3 members present are lost \(web-2\)",
        ),
        ("web-2 leaves in converged with release=2.5.0", 60, "success", "left", "2 of [23] members converged"),
        ("web-2 reboots 1s with release=2.5.0", 60, "success", "converged", "3 of 3 members converged"),
    ],
)
def test_what_a_dag_makes_of_nodes_that_go(start_fleet: StartFleet, tmp_path, fault, seconds, state, standing, words):
    """A release that kills a node does not pass, a node that leaves is excused, one that reboots is waited for."""
    slow = "web-3 is slow 3s with release=2.5.0"  # so that the Dag's wait sees what became of web-2
    nodes = start_fleet(web=3, faults=[fault, slow], **BEFORE)
    result = nodes.run(write(tmp_path, RELEASE.replace("SECONDS", str(seconds))), conf={"release": "2.5.0"})
    outcome = nodes.tier("web")
    assert (result.state, outcome.standings) == (
        state,
        {"web-1": "converged", "web-2": standing, "web-3": "converged"},
    ), result.log
    assert re.search(words, result.log)
    assert f"web-2: {standing}" in outcome.explanation


@pytest.mark.parametrize(
    ("text", "dag_id", "why"),
    [
        ("import nothing_of_that_name", None, "cannot be imported:"),
        ("", None, "it has none"),
        (EMPTY.format(names=["one", "two"]), None, "say which Dag to run, with dag_id; it has one, two"),
        (EMPTY.format(names=["one", "two"]), "three", "there is no Dag three; it has one, two"),
    ],
)
def test_file_without_the_dag_is_an_error(start_fleet: StartFleet, tmp_path, text, dag_id, why):
    """It names the file, and says what is in it."""
    path = write(tmp_path, text)
    with pytest.raises(DagNotRun) as caught:
        start_fleet(web=1).run(path, dag_id)
    assert str(path) in str(caught.value)
    assert why in str(caught.value)


def test_missing_file_is_an_error_at_once(start_fleet: StartFleet, tmp_path, monkeypatch):
    """Before an Airflow is started for it; relative names begin in the working directory, which is said."""
    monkeypatch.chdir(tmp_path)
    home = AirflowHome(tmp_path / "home")  # has not started its Airflow: it would fail without its directory
    nodes = start_fleet(airflow=home, web=1)
    with pytest.raises(DagNotRun, match=rf"^dags/nosuch.py: no such file; the current directory is {tmp_path}$"):
        nodes.run("dags/nosuch.py")


def test_files_beside_a_dag_are_its_own(start_fleet: StartFleet, tmp_path):
    """Another Dag's file of the same name is not taken for it."""
    nodes = start_fleet(web=1)
    for name in ("one", "two"):
        directory = tmp_path / name
        directory.mkdir()
        write(directory, f"NAMES = [{name!r}]", "beside_it.py")
        text = EMPTY.replace("{names}", "NAMES")
        assert nodes.run(write(directory, f"from beside_it import NAMES\n{text}"), name).state == "success"


@pytest.mark.parametrize("fault", ["web-2 fails", "web-2 hangs in converged", "web-2 dies after converging"])
def test_fault_that_hits_before_the_test_begins_is_an_error(start_fleet: StartFleet, fault):
    """At once; it says what to declare instead."""
    with pytest.raises(InvalidInput, match=rf"tier web cannot reach the state .*{fault}.* 'web-7 fails with release="):
        start_fleet(web=3, faults=[fault], **BEFORE)


@pytest.mark.parametrize(
    "fault", ["web-2 fails with release=2.5.0", "web-2 reboots 100ms", "web-2 dies after converging in off"]
)
def test_fault_of_what_comes_later_leaves_the_beginning_alone(start_fleet: StartFleet, fault):
    """As does a reboot that is over then."""
    outcome = start_fleet(web=3, faults=[fault], **BEFORE).tier("web")
    assert set(outcome.standings.values()) == {"converged"}
    assert outcome.explanation.splitlines()[0].endswith("; 3 of 3 members converged")


def test_two_fleets_of_one_test_must_not_mix(start_fleet: StartFleet):
    """Both would be the members of the tier; another environment does not change that."""
    start_fleet(web=1)
    with pytest.raises(NameTaken):
        start_fleet(web=1, environment="other")


@pytest.mark.parametrize(
    ("options", "why"),
    [({}, "at least one tier"), ({"web": 2, "faults": ["x"]}, "A fault is:"), ({"web": "2"}, "not '2'")],
)
def test_options_are_checked(start_fleet: StartFleet, options, why):
    """Before anything is started."""
    with pytest.raises(InvalidInput, match=why):
        start_fleet(**options)


def test_unknown_tier_is_named(start_fleet: StartFleet):
    """It says which there are."""
    with pytest.raises(InvalidInput, match="unknown tier db; the fleet has web"):
        start_fleet(web=1).tier("db")


# The last tests of the file: each ends the process that runs Dags, and another one takes seconds to start.


def test_run_that_does_not_end_is_an_error_with_its_log(start_fleet: StartFleet, tmp_path):
    """As when a task waits for an approval; the next run is not in its way."""
    nodes = start_fleet(web=1)
    path = write(tmp_path, SLEEPY)
    with pytest.raises(DagNotRun, match="did not end within 0:00:01; its log ends:"):
        nodes.run(path, timeout=timedelta(seconds=1))
    assert nodes.run(path, mark_success="sleep").tasks == {"sleep": "success"}


def test_dag_that_ends_its_process_is_an_error_with_its_log(start_fleet: StartFleet, tmp_path):
    """Nothing hangs."""
    with pytest.raises(DagNotRun, match=r"(?s)dag.py ended the process that ran it; its log ends:\n.*last words"):
        start_fleet(web=1).run(write(tmp_path, "import os; os.write(1, b'last words'); os._exit(3)"))
