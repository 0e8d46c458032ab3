"""What is good in staging, brought to another environment; run by Airflow on real agents."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from tests.dags.examples import load
from tests.dags.fleet import Fleet
from tests.support.airflow_home import clear_and_run, connect
from tests.support.factory import make_assignment, make_desired, make_writer

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "promote-between-environments.md").read_text()


def declare_in_staging(fleet: Fleet, release: str, *, generation: int, age: timedelta) -> None:
    """A release on which staging converged that long ago."""
    stable = make_assignment(generation, id=f"a{generation}", values={"release": release})
    fleet.keys["staging/web/desired"] = make_desired(generation, stable=stable).to_json()
    entry = JournalEntry((datetime.now(UTC) - age).isoformat(), make_writer(), "converged", {"web": stable})
    fleet.keys[f"staging/_journal/{generation}"] = entry.to_json()


@pytest.fixture(params=["page", "example"])
def dag(request):
    """That of the page, and the example, which has waves; both change the environment of the test's nodes."""
    if request.param == "example":
        return load("promote_from_staging")
    names = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[1], names)
    return names["dag"]


def test_good_values_are_rolled_out(fleet: Fleet, run_dag, monkeypatch, dag):
    """Not before they are old enough; and a cleared task rolls out what was read, not what staging has by then."""
    connect(monkeypatch, fleet.cluster.http_port)
    dag.get_task("read_staging").retries = 0
    fleet.keys["demo/web/desired"] = make_desired(1, stable=make_assignment(1), sequence=1).to_json()
    declare_in_staging(fleet, "2.6.0", generation=7, age=timedelta(minutes=30))
    conf = {"production": "demo"} if "production" in dag.params else {}
    states = run_dag(dag, **conf)
    assert (states["run"], states["read_staging"]) == ("failed", "failed")
    assert fleet.desired("web")["generation"] == 1
    declare_in_staging(fleet, "2.6.0", generation=7, age=timedelta(hours=2))
    assert run_dag(dag, **conf)["run"] == "success"
    assert fleet.assigned("web") == {"generation": 2, "state": "converged", "values": {"release": "2.6.0"}}
    assert fleet.statuses("web") == {"succeeded"}
    declare_in_staging(fleet, "2.7.0", generation=8, age=timedelta(0))
    assert set(clear_and_run(dag, lambda task: "wave" in task or task == "web_converged").values()) == {"success"}
    desired = DesiredState.from_json("desired", fleet.keys["demo/web/desired"])
    assert desired.stable.values == {"release": "2.6.0"}
