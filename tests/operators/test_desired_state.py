"""SetDesiredStateOperator against a real Consul."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import (
    ConsulUnavailable,
    InvalidInput,
    MalformedDocument,
    NoMembers,
    RequestTooLarge,
    WriteRefused,
)
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from tests.support.airflow_home import connect, make_context, run_trigger
from tests.support.factory import make_failure, make_report

pytestmark = pytest.mark.usefixtures("consul_connection")


def make_operator(**overrides):
    """Declares web converged at release 2.5.0."""
    defaults = {
        "task_id": "set",
        "environment": "demo",
        "tier": "web",
        "state": "converged",
        "values": {"release": "2.5.0"},
        "allow_empty": True,
    }
    return SetDesiredStateOperator(**defaults | overrides)


def test_writes_desired_state_and_history(consul_kv):
    """The document says what is wanted, by whom and for which logical time; history holds the same."""
    assert make_operator().execute(make_context()) == {"web": 1}
    desired = json.loads(consul_kv["demo/web/desired"])
    assert desired["stable"].pop("id")
    assert desired["stable"] == {"generation": 1, "state": "converged", "values": {"release": "2.5.0"}}
    assert desired["canary"] is None
    assert desired["sequence"] == 1795334400
    assert desired["written_by"] == {
        "dag_id": "shop_rollout", "run_id": "manual__1", "task_id": "set", "map_index": -1,
    }  # fmt: skip
    assert consul_kv["demo/_history/web/000000000001"] == consul_kv["demo/web/desired"]


def test_slots_are_in_the_document(consul_kv):
    """As many as the parameter says, which may be a template; a later run with others keeps the generation."""
    make_operator(slots="2", per="meta:rack", spread_over=timedelta(minutes=5)).execute(make_context())
    stable = json.loads(consul_kv["demo/web/desired"])["stable"]
    assert (stable["max_parallel"], stable["per"], stable["spread_over"]) == (2, "meta:rack", 300)
    assert make_operator(slots=3).execute(make_context(run_id="manual__2")) == {"web": 1}
    assert json.loads(consul_kv["demo/web/desired"])["stable"]["max_parallel"] == 3
    assert make_operator(slots=None).execute(make_context(run_id="manual__3")) == {"web": 1}
    assert "max_parallel" not in json.loads(consul_kv["demo/web/desired"])["stable"]


def test_retry_makes_no_second_generation(consul_kv):
    """A second execution returns the generation that stands and writes nothing."""
    make_operator().execute(make_context())
    before = dict(consul_kv)
    assert make_operator().execute(make_context(try_number=2)) == {"web": 1}
    assert dict(consul_kv) == before


def test_force_makes_one_more_generation_for_each_task_instance():
    """Forcing is for one task instance: its retry changes nothing, another run's is a new generation."""
    make_operator().execute(make_context())
    forced = make_operator(force=True)
    assert forced.execute(make_context(run_id="manual__2")) == {"web": 2}
    assert forced.execute(make_context(run_id="manual__2", try_number=2)) == {"web": 2}
    assert forced.execute(make_context(run_id="manual__3")) == {"web": 3}


def test_several_tiers_are_one_transaction(consul_kv):
    """When one tier refuses, none is written."""
    make_operator(tier=["web", "app"], state="off").execute(make_context())
    make_operator(tier="app", state="waiting").execute(make_context())
    before = dict(consul_kv)
    with pytest.raises(WriteRefused, match="demo/app: state converged is allowed from off"):
        make_operator(tier=["web", "app"], allowed_from=["off"]).execute(make_context())
    assert dict(consul_kv) == before


def test_allowed_from_for_a_tier_without_a_state(consul_kv):
    """None in the list stands for a tier that was never written."""
    with pytest.raises(WriteRefused, match="has no desired state yet"):
        make_operator(allowed_from=["waiting"]).execute(make_context())
    assert dict(consul_kv) == {}
    assert make_operator(allowed_from=["waiting", None]).execute(make_context()) == {"web": 1}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"environment": "de/mo"}, "environment 'de/mo' is not a name"),
        ({"tier": "web server"}, "tier 'web server' is not a name"),
        ({"tier": []}, "tier is an empty list"),
        ({"tier": ["web", ".."]}, "tier '..' is not a name"),
        ({"state": ""}, "state '' is not a name"),
        ({"values": {"release": {"major": 2}}}, r"values\['release'\] must be a string, number"),
        ({"values": {"release": ["2", "5"]}}, r"values\['release'\] must be"),
        ({"values": {"ratio": float("nan")}}, r"values\['ratio'\] must be"),
        ({"values": {"": 1}}, "'' is not a name for a value"),
        ({"values": "release=2"}, "values must be a mapping"),
        ({"allowed_from": "off"}, "allowed_from must be a list of states"),
        ({"allowed_from": ["off/"]}, "allowed_from 'off/' is not a name"),
        ({"members": "servise:web"}, "invalid members 'servise:web'"),
        ({"members": []}, "members is an empty list"),
        ({"sequence": "yesterday"}, "sequence must be seconds since the epoch"),
        ({"on_stale": "ignore"}, 'on_stale must be "fail" or "skip", not \'ignore\''),
    ],
)
def test_bad_input_changes_nothing(consul_kv, wrong, words):
    """One clear error that names the thing; nothing reaches Consul."""
    with pytest.raises(InvalidInput, match=words):
        make_operator(**wrong).execute(make_context())
    assert dict(consul_kv) == {}


@pytest.mark.parametrize("tier", ["wbe", ["web", "wbe"]])
def test_tier_without_members_leaves_no_key(consul_kv, members, tier):
    """It may be a name mistyped: the error names the tiers that there are, and how to declare it all the same."""
    members("web-1")
    make_operator(allow_empty=False).execute(make_context())
    before = dict(consul_kv)
    with pytest.raises(NoMembers) as refusal:
        make_operator(tier=tier, allow_empty=False).execute(make_context())
    assert str(refusal.value) == (
        "demo/wbe has no members: Consul lists no node for service:wbe; tiers of demo: web; "
        "allow_empty=True declares it before it has any nodes"
    )
    assert dict(consul_kv) == before
    assert make_operator(tier="wbe").execute(make_context()) == {"wbe": 1}


@pytest.mark.parametrize("allow_empty", [False, True])
def test_service_that_differs_in_case_only(consul_kv, members, allow_empty):
    """Consul would find it, and nodes would read another key: it is refused, and no key is left."""
    members("web-1", tier="Web")
    with pytest.raises(InvalidInput, match="Consul has no service 'web', only 'Web'"):
        make_operator(allow_empty=allow_empty).execute(make_context())
    assert dict(consul_kv) == {}


def test_member_that_consul_has_never_listed(consul_kv, members):
    """It is said before anything is written; declared ahead of its nodes, it may be on its way."""
    members("web-1")
    with pytest.raises(InvalidInput, match="members of demo/web: Consul lists no node 'wbe-1', did you mean 'web-1'"):
        make_operator(members=["wbe-1"], allow_empty=False).execute(make_context())
    assert dict(consul_kv) == {}
    assert make_operator(members=["web-2"]).execute(make_context()) == {"web": 1}


def test_waiting_for_nobody_is_refused_in_any_case(consul_kv):
    """Declared ahead of its nodes, a tier has nobody who could converge."""
    with pytest.raises(NoMembers, match="demo/web has no members.*tiers of demo: none$"):
        make_operator(wait=ConvergencePolicy()).execute(make_context())
    assert dict(consul_kv) == {}


def test_what_is_absent_is_said_to_be_excused(consul_kv, members, capsys):
    """It holds nothing up, and the log does not say so."""
    members("web-1")
    members("web-2", check="critical")
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=1).to_json()
    assert make_operator(wait=ConvergencePolicy()).execute(make_context()) == {"web": 1}
    printed = capsys.readouterr().out
    assert "demo/web generation 1: 1 of 2 members converged, 1 absent (web-2)" in printed
    assert "demo/web: web-2: absent, its agent is not alive; excused, unless max_absent says otherwise" in printed
    assert "held up" not in printed


def test_values_too_large_for_consul(consul_kv):
    """Consul's limit is named with the tier, and nothing is written."""
    with pytest.raises(RequestTooLarge, match="demo/web: too many tiers or values.*512 KiB"):
        make_operator(values={"blob": "x" * 600_000}).execute(make_context())
    assert dict(consul_kv) == {}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "demo/web/desired: not JSON"),
        ("[]", "must be a JSON object"),
        ('{"schema": 2}', "schema 2 is unknown"),
        ('{"schema": 1, "generation": "7"}', "field written_by is missing"),
    ],
)
def test_unreadable_desired_state_is_not_replaced(consul_kv, document, words):
    """Whatever stands there, it may be somebody's: the error names the key, and the key stays."""
    consul_kv["demo/web/desired"] = document
    with pytest.raises(MalformedDocument, match=words):
        make_operator().execute(make_context())
    assert dict(consul_kv) == {"demo/web/desired": document}


def test_consul_away_is_said(monkeypatch, free_port):
    """The operator names the address, after its patience has run out."""
    monkeypatch.setenv("AIRFLOW__CHEFCONSUL__PATIENCE", "0.2")
    connect(monkeypatch, free_port, connection_id="nowhere")
    with pytest.raises(ConsulUnavailable, match=f"127.0.0.1:{free_port} cannot be reached"):
        make_operator(consul_conn_id="nowhere").execute(make_context())


@pytest.mark.parametrize("deferrable", [False, True])
def test_wait_ends_alike_here_and_deferred(consul_kv, members, deferrable, monkeypatch):
    """A node that fails on the new generation fails the task, blocking and deferred, with the same words."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    members("web-1", "web-2")
    operator = make_operator(wait=ConvergencePolicy(), deferrable=deferrable)
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=1).to_json()
    consul_kv["demo/web/nodes/web-2"] = make_failure("web-2", generation=1).to_json()

    def run():
        try:
            return operator.execute(make_context())
        except TaskDeferred as deferred:
            assert deferrable
            event = asyncio.run(run_trigger(deferred.trigger))
            return getattr(operator, deferred.method_name)(make_context(), event)

    with pytest.raises(
        AirflowFailException, match=r"demo/web: 1 of 2 members present failed \(web-2\); max_failed=0 is spent"
    ):
        run()
    consul_kv["demo/web/nodes/web-2"] = make_report("web-2", generation=1).to_json()
    assert run() == {"web": 1}
