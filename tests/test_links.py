"""The button that leads to the tier's key in Consul's UI."""

from __future__ import annotations

import httpx
import pytest
from airflow.sdk.types import TaskInstanceKey

from airflow_provider_chefconsul.links import DesiredStateLink, RolloutBoardLink
from airflow_provider_chefconsul.operators.approval import ApproveWaveOperator
from airflow_provider_chefconsul.operators.chef import ConsulExecChefOperator
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from tests.support.airflow_home import connect
from tests.support.factory import make_desired
from tests.support.peer import Answer, Peer

KEY = TaskInstanceKey(dag_id="shop_rollout", task_id="web", run_id="manual__1", try_number=1, map_index=-1)


def link_of(**overrides: object) -> str:
    """The address of a task's button."""
    operator = ConvergedSensor(task_id="web", environment="demo", tier="web")
    for name, rendered in overrides.items():  # as Airflow sets what a template gave
        setattr(operator, name, rendered)
    return DesiredStateLink().get_link(operator, ti_key=KEY)


@pytest.mark.parametrize("kind", [SetDesiredStateOperator, ConvergedSensor, ConsulExecChefOperator])
def test_operators_have_the_button(kind):
    """Each of them has it, under the same name."""
    assert [link.name for link in kind.operator_extra_links] == ["Rollout board", "State in Consul"]


def test_the_board_comes_first():
    """Airflow shows the buttons in the order of their names."""
    names = [link.name for link in ConvergedSensor.operator_extra_links]
    assert min(names) == RolloutBoardLink.name
    assert [link.name for link in ApproveWaveOperator.operator_extra_links] == [RolloutBoardLink.name]


def test_link_to_the_board():
    """On the task's environment, and with its Dag run; below wherever Airflow's page is."""
    operator = ConvergedSensor(task_id="web", environment="demo", tier="web", consul_conn_id="consul_eu")
    assert RolloutBoardLink().get_link(operator, ti_key=KEY) == (
        "chefconsul/?connection=consul_eu&environment=demo&dag_id=shop_rollout&run_id=manual__1"
    )


def test_link_to_a_tier(consul_connection, cluster, consul_kv, consul_root):
    """The page with the desired state, on the connection's Consul."""
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    link = link_of()
    assert link == f"http://127.0.0.1:{cluster.http_port}/ui/dc1/kv/{consul_root}/demo/web/desired/edit"
    page = httpx.get(link, trust_env=False)
    assert page.is_success
    assert "Consul" in page.text


@pytest.mark.parametrize("tier", [["web", "app"], ("web",)])
def test_link_to_several_tiers(consul_connection, cluster, consul_root, tier):
    """The folder of their environment."""
    assert link_of(tier=tier) == f"http://127.0.0.1:{cluster.http_port}/ui/dc1/kv/{consul_root}/demo/"


def test_link_into_the_connections_datacenter(monkeypatch, cluster):
    """The connection's datacenter, not the agent's own; and no token in an address."""
    connect(monkeypatch, cluster.http_port, datacenter="dc 2", password="5ec2e7")
    assert link_of() == f"http://127.0.0.1:{cluster.http_port}/ui/dc%202/kv/chefconsul/demo/web/desired/edit"


@pytest.mark.parametrize(
    ("tenancy", "folder"),
    [
        ({"namespace": "team"}, "~team/"),
        ({"partition": "eu"}, "_eu/"),
        ({"partition": "eu", "namespace": "team"}, "_eu/~team/"),
    ],
)
def test_link_into_the_connections_namespace(monkeypatch, free_port, tenancy, folder):
    """The form that Consul's UI gives its addresses."""
    connect(monkeypatch, free_port, datacenter="dc1", **tenancy)
    assert link_of() == f"http://127.0.0.1:{free_port}/ui/{folder}dc1/kv/chefconsul/demo/web/desired/edit"


def test_link_that_was_found_is_kept(monkeypatch, free_port):
    """A task that waits finds it while it has a view, and needs no other one when it ends."""
    connect(monkeypatch, free_port)  # where nobody answers
    assert link_of(consul_page="http://consul/ui") == "http://consul/ui"


@pytest.mark.parametrize("wrong", [{"tier": "we/b"}, {"environment": ""}, {"environment": "_nodes"}])
def test_no_link_for_an_invalid_name(consul_connection, wrong):
    """The task has already reported it; there is no button."""
    assert link_of(**wrong) == ""


def test_no_link_while_consul_is_unavailable(monkeypatch):
    """A task that has succeeded does not fail because of a button."""
    with Peer(lambda _: Answer(403, "Permission denied")) as peer:
        connect(monkeypatch, peer.port)
        assert link_of() == ""
    assert len(peer.requests) == 1


def test_no_link_for_a_connection_that_cannot_be_read(monkeypatch, free_port):
    """The same holds for a wrong connection."""
    connect(monkeypatch, free_port, prefix="a//b")
    assert link_of() == ""
