"""Checking that a rollout has come to its end; with a whole Dag in tests/dags/test_gate.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.operators.rollout_end import CheckRolloutEndOperator
from airflow_provider_chefconsul.triggers.writer import writer_of
from tests.support.airflow_home import make_context
from tests.support.factory import make_assignment, make_canary, make_desired

pytestmark = pytest.mark.usefixtures("consul_connection")
OWN = replace(writer_of(make_context()), task_id="wave_1")
OUT = {"stable": make_assignment(1), "canary": make_canary(2)}


def check(**overrides):
    """Look at the web tier, which wave_1 and wave_2 write."""
    defaults = {"environment": "demo", "tier": "web", "written_by": ["wave_1", "wave_2"]}
    CheckRolloutEndOperator(task_id="check_end", **defaults | overrides).execute(make_context())


def test_canary_of_its_own(consul_kv):
    """It fails without retries, names the canary, and says what to do."""
    consul_kv["demo/web/desired"] = make_desired(2, written_by=OWN, **OUT).to_json()
    words = r"^demo/web: its last wave was skipped, and the canary is still out: generation 2, .*2\.6\.0; promote it or"
    with pytest.raises(AirflowFailException, match=words):
        check()


@pytest.mark.parametrize(
    "desired",
    [
        None,
        make_desired(2, written_by=OWN),
        make_desired(2, written_by=replace(OWN, dag_id="another"), **OUT),
        make_desired(2, written_by=replace(OWN, run_id="another"), **OUT),
        make_desired(2, written_by=replace(OWN, task_id="other.wave_1"), **OUT),
        make_desired(2, written_by=replace(OWN, map_index=3), **OUT),
    ],
    ids=["nothing", "no canary", "another Dag", "another run", "another rollout", "another of a mapped group"],
)
def test_no_canary_of_its_own(consul_kv, desired):
    """It is skipped: the rollout never began, has ended, or is somebody else's by now."""
    if desired is not None:
        consul_kv["demo/web/desired"] = desired.to_json()
    with pytest.raises(AirflowSkipException, match="^demo/web: no canary of this rollout is out$"):
        check()


@pytest.mark.parametrize("overrides", [{"environment": "de/mo"}, {"tier": "we/b"}])
def test_names_are_checked_when_the_dag_is_parsed(overrides):
    """Like those of every operator."""
    with pytest.raises(InvalidInput, match="is not a name"):
        check(**overrides)
