"""Approvals between waves, answered by a person, a rejection, or nobody; run by Airflow."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from unittest.mock import create_autospec

import pytest
from airflow.models.hitl import HITLDetail, HITLUser
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.triggers import hitl
from airflow.sdk import DAG, BaseNotifier
from airflow.sdk.api.datamodels._generated import HITLDetailResponse
from airflow.utils.session import create_session

from airflow_provider_chefconsul.domain.model.canary import rank
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.operators.steering import AbortOperator, PromoteOperator
from airflow_provider_chefconsul.task_groups import rollout
from tests.support.airflow_home import make_context
from tests.support.factory import make_desired
from tests.support.follower import following

NODES = ["web-1", "web-2", "web-3"]
FIRST, SECOND, THIRD = rank("2", NODES)
pytestmark = pytest.mark.usefixtures("consul_connection")


class Answer(BaseNotifier):
    """Answers a question as soon as it is put, as somebody does in Airflow's UI; remembers what was asked."""

    def __init__(self, option: str | None = None) -> None:
        super().__init__()
        self.option = option
        self.asked: list[tuple[str, str]] = []

    def notify(self, context) -> None:
        """Store the answer; without an option, there is none."""
        with create_session() as session:
            detail = session.get(HITLDetail, context["ti"].id)
            self.asked.append((detail.subject, detail.body))
            if self.option is not None:
                detail.chosen_options = [self.option]
                detail.responded_by = HITLUser(id="1", name="anna")
                detail.responded_at = datetime.now(UTC)


@pytest.fixture(autouse=True)
def stored_answers(monkeypatch):
    """Triggers that `dag.test()` runs cannot ask Airflow for answers, so they look into its database."""

    def look(ti_id):
        with create_session() as session:
            return HITLDetailResponse.model_validate(session.get(HITLDetail, ti_id), from_attributes=True)

    def answer(*, ti_id, chosen_options, params_input):
        with create_session() as session:
            detail = session.get(HITLDetail, ti_id)
            detail.chosen_options, detail.responded_at = chosen_options, datetime.now(UTC)
        return look(ti_id)

    for function in (hitl.get_hitl_detail_content_detail, hitl.update_hitl_detail_response):
        stand_in = look if function is hitl.get_hitl_detail_content_detail else answer
        monkeypatch.setattr(hitl, function.__name__, create_autospec(function, side_effect=stand_in))


@pytest.fixture
def nodes(cluster, consul_root, consul_kv, members):
    """Three nodes that have release 2.5.0 and do what is desired."""
    members(*NODES)
    consul_kv["demo/web/desired"] = make_desired(1, sequence=1).to_json()
    consul_kv["demo/_history/web/000000000001"] = consul_kv["demo/web/desired"]
    with following(cluster.http_port, consul_root, [("demo", "web")], NODES):
        yield


def build(answer: Answer, waves=(1, "100%"), **approval) -> DAG:
    """A rollout of release 2.6.0 in two waves, in a Dag that retries."""
    defaults = {"retries": 1, "retry_delay": timedelta(seconds=1)}
    with DAG("asking", schedule=None, default_args=defaults) as dag:
        group = rollout(
            "demo", "web", "converged", {"release": "2.6.0"}, waves=waves, auto_revert=True, command=None,
            policy=ConvergencePolicy(timeout=timedelta(minutes=2)), approval={"notifiers": [answer], **approval},
        )  # fmt: skip
        group >> EmptyOperator(task_id="announce")
    return dag


def test_rejection_takes_the_canary_back(run_dag, nodes, consul_kv, capsys):
    """It is asked once whatever the retries, the wave does not begin, and the canary's node is back on its release."""
    answer = Answer("Reject")
    states = run_dag(build(answer))
    assert {task: state for task, state in states.items() if state != "success"} == {
        "run": "failed",
        "announce": "upstream_failed",
        "web_converged.approve_2": "failed",
        "web_converged.end": "upstream_failed",
        "web_converged.wave_2": "upstream_failed",
    }
    assert len(answer.asked) == 1
    desired = json.loads(consul_kv["demo/web/desired"])
    assert (desired["canary"], desired["stable"]["generation"]) == (None, 1)
    assert json.loads(consul_kv[f"demo/web/nodes/{FIRST}"])["generation"] == 1
    assert "demo/web: wave 2 of 2 was rejected by anna" in capsys.readouterr().out
    told = [json.loads(text) for key, text in consul_kv.items() if "/_journal/" in key]
    (reason,) = [each["reason"] for each in told if each["act"] == "rolled_back"]
    assert reason == "auto_revert: wave 2 of 2 (100%) was rejected: by anna"


def test_question_says_what_is_asked(run_dag, nodes):
    """From and to, how many nodes and which, how the wave before went, how long there is for an answer."""
    answer = Answer("Approve")
    states = run_dag(build(answer, body="Look at the dashboard first.", response_timeout=timedelta(hours=1)))
    assert states["run"] == "success"
    [(subject, body)] = answer.asked
    assert subject == "demo/web: begin wave 2 of 2, release 2.5.0 → 2.6.0 on 2 of 3 members?"
    lines = body.split("\n\n")
    assert lines[:4] == [
        "Look at the dashboard first.",
        "From generation 1, state converged, release=2.5.0 to generation 2, state converged, release=2.6.0.",
        f"It changes 2 of 3 members: {', '.join(sorted([SECOND, THIRD]))}.",
        "Earlier waves: 1 of 1 members converged.",
    ]
    assert lines[4].startswith("If nobody answers by 20")
    assert lines[4].endswith("(within 1:00:00), the rollout fails.")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "demo/web: wave 2 of 2: nobody answered within 0:00:01"),
        ({"defaults": "Reject"}, "demo/web: wave 2 of 2 was rejected because nobody answered in time"),
    ],
)
def test_no_answer_in_time_is_final(run_dag, nodes, consul_kv, capsys, options, words):
    """As a rejection is; an answer by default is nobody's."""
    answer = Answer()
    states = run_dag(build(answer, response_timeout=timedelta(seconds=1), **options))
    assert states["run"] == "failed"
    assert states["web_converged.revert.wait"] == "success"
    assert len(answer.asked) == 1
    assert json.loads(consul_kv["demo/web/desired"])["canary"] is None
    assert words in capsys.readouterr().out


class Steer(Answer):
    """Promotes or aborts the rollout as soon as the question is put, as somebody does on the command line."""

    def __init__(self, operator_class) -> None:
        super().__init__()
        self.operator = operator_class(task_id="act", environment="demo", tier="web", reason="ada says so")

    def notify(self, context) -> None:
        """Act beside the question."""
        super().notify(context)
        self.operator.execute(make_context(dag_id="operate", run_id="manual__9", task_id="act"))


def test_abort_leaves_nothing_to_answer(run_dag, nodes, consul_kv, capsys):
    """The approval fails with the reason, without retries; the canary's node is back, and stays so."""
    answer = Steer(AbortOperator)
    states = run_dag(build(answer))
    assert (states["run"], states["web_converged.approve_2"]) == ("failed", "failed")
    assert states["web_converged.revert.roll_back"] == "skipped"  # there is nothing left to roll back
    assert len(answer.asked) == 1
    desired = json.loads(consul_kv["demo/web/desired"])
    assert (desired["canary"], desired["stable"]["generation"]) == (None, 1)
    said = "the rollout of generation 2 was aborted by Dag operate, run manual__9, task act: ada says so"
    assert said in capsys.readouterr().out


def test_promotion_leaves_nothing_to_answer(run_dag, nodes, consul_kv, capsys):
    """The approval passes, the next one does not ask, and the waves that are left wait for all nodes."""
    answer = Steer(PromoteOperator)
    states = run_dag(build(answer, waves=(1, 2, "100%")))
    assert len(answer.asked) == 1
    assert (states["run"], states["announce"]) == ("success", "success")
    assert {json.loads(consul_kv[f"demo/web/nodes/{node}"])["generation"] for node in NODES} == {2}
    assert "There is nothing left to approve: generation 2 was promoted by Dag operate" in capsys.readouterr().out
