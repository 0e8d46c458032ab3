"""Task groups that are mapped over environments or tiers: run, cleared, run again, and rolled back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.sdk import DAG, chain, task, task_group

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.lease import AcquireLeaseOperator, ReleaseLeaseOperator
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from airflow_provider_chefconsul.task_groups import rollout, transition
from tests.support.airflow_home import clear_and_run
from tests.support.factory import make_desired
from tests.support.follower import following

POLICY = ConvergencePolicy(timeout=timedelta(minutes=2))
pytestmark = pytest.mark.usefixtures("consul_connection")


@pytest.fixture
def nodes(cluster, consul_root, members):
    """A node in each of two tiers, which does what is desired in two environments."""
    tier_paths = [(environment, tier) for environment in ("eu", "us") for tier in ("mapped-web", "mapped-app")]
    members("mapped-web-1", tier="mapped-web")
    members("mapped-app-1", tier="mapped-app")
    with following(cluster.http_port, consul_root, tier_paths, ["mapped-web-1", "mapped-app-1"]):
        yield


@pytest.mark.parametrize("separate", [False, True])
def test_leased_group_survives_a_clear(run_dag, nodes, consul_kv, separate):
    """Cleared with what follows, each environment is nudged, waited for and given up again, by its own map index."""
    with DAG("mapped_environments", schedule=None) as dag:

        @task_group
        def upgrade(environment):
            acquire = AcquireLeaseOperator(task_id="acquire", environment=environment)
            give_up = ReleaseLeaseOperator(task_id="release", environment=environment)
            move = transition(environment, "mapped-web", "off", policy=POLICY, separate=separate)
            chain(acquire, move, give_up)
            give_up.as_teardown(setups=acquire)

        upgrade.expand(environment=["eu", "us"])
    states = run_dag(dag)
    assert set(states.values()) == {"success"}
    again = clear_and_run(dag, lambda task_id: not task_id.endswith(".set"))
    assert set(again.values()) == {"success"}
    assert len(again) == 2 * (4 if separate else 3)
    assert not [key for key in consul_kv if key.endswith("_lease")]
    assert json.loads(consul_kv["eu/mapped-web/desired"])["generation"] == 1


def test_rollout_of_tiers_that_are_mapped(run_dag, cluster, consul_root, members, consul_kv):
    """The tier comes from a mapping; where its canary fails, that tier goes back, and the others stay."""
    members("map-a-1", "map-a-2", tier="map-a")
    members("map-b-1", "map-b-2", tier="map-b")
    for tier in ("map-a", "map-b"):
        consul_kv[f"demo/{tier}/desired"] = make_desired(1, sequence=1).to_json()
        consul_kv[f"demo/_history/{tier}/000000000001"] = consul_kv[f"demo/{tier}/desired"]
    with DAG("mapped_tiers", schedule=None) as dag:

        @task_group
        def upgrade(tier):
            rollout(
                "demo", tier, "converged", {"release": "2.6.0"}, group_id="roll", waves=[1, "100%"], policy=POLICY,
                command=None, auto_revert=True,
            )  # fmt: skip

        upgrade.expand(tier=["map-a", "map-b"])
    nodes = ["map-a-1", "map-a-2", "map-b-1", "map-b-2"]
    with (
        following(cluster.http_port, consul_root, [("demo", "map-a")], nodes),
        following(cluster.http_port, consul_root, [("demo", "map-b")], nodes, failing=next_canary("map-b")),
    ):
        assert run_dag(dag)["run"] == "failed"
    found = {tier: json.loads(consul_kv[f"demo/{tier}/desired"]) for tier in ("map-a", "map-b")}
    assert {tier: each["canary"] for tier, each in found.items()} == {"map-a": None, "map-b": None}
    assert {tier: each["stable"]["values"]["release"] for tier, each in found.items()} == {
        "map-a": "2.6.0", "map-b": "2.5.0",
    }  # fmt: skip


def next_canary(tier: str) -> str:
    """The node of two that the first wave of generation 2 takes."""
    from airflow_provider_chefconsul.domain.model.canary import rank

    return rank("2", [f"{tier}-1", f"{tier}-2"])[0]


def test_tier_from_an_xcom(run_dag, nodes, consul_kv):
    """It is written and waited for as one that is written out."""
    with DAG("tier_from_xcom", schedule=None) as dag:

        @task
        def choose():
            return "mapped-app"

        transition("eu", choose(), "off", task_id="chosen", policy=POLICY, command=None)
    assert set(run_dag(dag).values()) == {"success"}
    assert json.loads(consul_kv["eu/mapped-app/desired"])["stable"]["state"] == "off"


def test_mapped_operator_and_one_wait_for_all(run_dag, nodes, consul_kv):
    """What mapped tasks returned is waited for together."""
    with DAG("mapped_operator", schedule=None) as dag:
        declare = SetDesiredStateOperator.partial(task_id="set", environment="us", state="off").expand(
            tier=["mapped-web", "mapped-app"]
        )
        ConvergedSensor(
            task_id="wait",
            environment="us",
            tier=["mapped-web", "mapped-app"],
            generation=declare.output,
            policy=POLICY,
        )
    assert set(run_dag(dag).values()) == {"success"}
