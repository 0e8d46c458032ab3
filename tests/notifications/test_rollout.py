"""Telling people what became of a task of a rollout; run by Airflow, with its own notifiers."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG, BaseNotifier

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.notifications.rollout import RolloutNotifier
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.task_groups import rollout
from tests.support.factory import make_desired, make_failure, make_report

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
pytestmark = pytest.mark.usefixtures("consul_connection")
POLICY = ConvergencePolicy(timeout=timedelta(seconds=20))


class Channel(BaseNotifier):
    """A notifier like those of other providers: its own fields are templates, rendered in place."""

    template_fields = ("subject", "text")
    sent: list[tuple[str, str]] = []  # noqa: RUF012 of all copies

    def __init__(self, subject, text) -> None:
        super().__init__()
        self.subject = subject
        self.text = text

    def notify(self, context) -> None:
        """Send."""
        self.sent.append((self.subject, self.text))


@pytest.fixture(params=["blocking", "deferred"])
def is_deferrable(request, monkeypatch):
    """In the worker, and by a trigger."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))
    return request.param == "deferred"


@pytest.fixture
def web(consul_kv, members):
    """Three nodes at generation 1; the reports are there that they will have made on generation 2."""
    members("web-1", "web-2", "web-3")
    consul_kv["demo/web/desired"] = make_desired(1, sequence=1).to_json()
    for node in ("web-1", "web-3"):
        consul_kv[f"demo/web/nodes/{node}"] = make_failure(node, generation=2).to_json()
    consul_kv["demo/web/nodes/web-2"] = make_report("web-2", generation=2).to_json()


def build(*, deferrable=False, **callbacks):
    """A wave of two named nodes, and the rest."""
    with DAG("telling", schedule=None) as dag:
        rollout(
            "demo", "web", "converged", {"release": "2.6.0"}, waves=[["web-1", "web-2"], "100%"], command=None,
            policy=POLICY, deferrable=deferrable, default_args=callbacks,
        )  # fmt: skip
    return dag


def test_failed_wave(run_dag, web, is_deferrable):
    """The message says tier, wave, verdict, reason, nodes, and where to look, as the page shows it."""
    messages = []
    run_dag(build(deferrable=is_deferrable, on_failure_callback=RolloutNotifier(messages.append)))
    [message] = messages
    first, second, last = message.strip().splitlines()
    shown = re.search(r"says otherwise:\n\n```\n(.*?)```", PAGE, flags=re.DOTALL)[1].splitlines()
    assert [first.replace("(web-1, web-2)", "(1)"), second] == shown[:2]
    assert re.match(r"Dag telling, run manual__\S+, task web_converged.wave_1: http://\S+$", last)


def test_success_and_own_words(run_dag, web, consul_kv, is_deferrable):
    """A template has every part; each task tells of itself, though all share one notifier."""
    for node in ("web-1", "web-3"):
        consul_kv[f"demo/web/nodes/{node}"] = make_report(node, generation=2).to_json()
    messages = []
    words = "{{ rollout.environment }}|{{ rollout.tier }}|{{ rollout.wave }}|{{ rollout.verdict }}|{{ rollout.reason }}"
    notifier = RolloutNotifier(messages.append, message=words + "|{{ rollout.nodes }}|{{ dag.dag_id }}")
    run_dag(build(deferrable=is_deferrable, on_success_callback=notifier))
    assert messages[:2] == [
        "demo|web|wave 1 of 2 (web-1, web-2)|converged||{}|telling",
        "demo|web|wave 2 of 2 (100%)|converged||{}|telling",
    ]


def test_another_notifier(run_dag, web, consul_kv):
    """Its own templates have the parts and the message; its fields are rendered anew each time."""
    channel = Channel("{{ rollout.tier_path }} {{ rollout.wave }}", "{{ rollout_message }}")
    Channel.sent.clear()
    for node in ("web-1", "web-3"):
        consul_kv[f"demo/web/nodes/{node}"] = make_report(node, generation=2).to_json()
    run_dag(build(on_success_callback=RolloutNotifier(channel, message="{{ rollout.verdict }}")))
    assert Channel.sent[:2] == [
        ("demo/web wave 1 of 2 (web-1, web-2)", "converged"),
        ("demo/web wave 2 of 2 (100%)", "converged"),
    ]


def test_task_that_was_refused(run_dag, consul_kv):
    """There was no wait, so the error is the reason."""
    messages = []
    with DAG("refused", schedule=None) as dag:
        SetDesiredStateOperator(
            task_id="set",
            environment="demo",
            tier=["web", "app"],
            state="off",
            on_failure_callback=RolloutNotifier(messages.append),
        )  # fmt: skip
    run_dag(dag)
    [message] = messages
    assert message.startswith("demo/web, app: failed: demo/web has no members")


def test_bad_input():
    """When the Dag is parsed."""
    with pytest.raises(InvalidInput, match="send must be a function that takes the message, or a notifier, not 'mail'"):
        RolloutNotifier("mail")


def test_page():
    """Its example builds a Dag that tells."""
    names = {}
    exec(re.search(r"## Messages.*?```python\n(.*?)```", PAGE, flags=re.DOTALL)[1], names)
    wave = names["dag"].get_task("web_converged.wave_1")
    assert isinstance(wave.on_failure_callback[0], RolloutNotifier)
