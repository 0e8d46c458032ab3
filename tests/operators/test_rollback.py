"""RollBackOperator against a real Consul."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.document import Document
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import (
    ChefConsulError,
    EnvironmentLeased,
    InvalidInput,
    MalformedDocument,
    NoMembers,
    WriteRefused,
)
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.operators.rollback import RollBackOperator
from tests.support.airflow_home import make_context, run_trigger
from tests.support.factory import make_failure, make_lease, make_report, make_writer

pytestmark = pytest.mark.usefixtures("consul_connection")
SECOND = {"task_id": "web.set_again"}


@pytest.fixture(params=["blocking", "deferred"])
def roll_back(request, monkeypatch):
    """Run the operator to its end: in the worker, or by its triggers after detours through the database."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", timedelta(0))

    def run(instance=None, **overrides):
        defaults = {"task_id": "roll_back", "environment": "demo", "tier": "web"}
        operator = RollBackOperator(**defaults | overrides, deferrable=request.param == "deferred")
        context = {"task_id": "roll_back"} | (instance or {})

        resume = operator.execute, ()
        while True:
            method, event = resume
            try:
                return method(make_context(**context), *event)
            except TaskDeferred as deferred:
                assert request.param == "deferred"
                event = asyncio.run(run_trigger(deferred.trigger))
                resume = getattr(operator, deferred.method_name), (event,)

    return run


def declare(release, tier="web", **options):
    """Bring a tier to a release, as the Dag run of :func:`make_context` unless options say otherwise."""
    instance = {name: options.pop(name) for name in ("run_id", "task_id") if name in options}
    operator = SetDesiredStateOperator(
        task_id="set",
        environment="demo",
        tier=tier,
        state="converged",
        values={"release": release},
        allow_empty=True,
        **options,
    )
    return operator.execute(make_context(**instance))


def current(keys, tier="web"):
    """The generation and release that all nodes of a tier are assigned."""
    desired = json.loads(keys[f"demo/{tier}/desired"])
    assert desired["canary"] is None
    return desired["stable"]["generation"], desired["stable"]["values"]["release"]


def test_previous_content_becomes_a_new_generation(roll_back, consul_kv):
    """A retry takes nothing further back; another task does."""
    for release in ("2.4.0", "2.5.0", "2.6.0"):
        declare(release)
    assert roll_back() == {"web": 4}
    assert current(consul_kv) == (4, "2.5.0")
    before = dict(consul_kv)
    assert roll_back({"try_number": 2}) == {"web": 4}
    assert dict(consul_kv) == before
    assert roll_back(SECOND) == {"web": 5}
    assert current(consul_kv) == (5, "2.4.0")


def test_the_journal_tells_what_stopped_the_rollout(roll_back, consul_kv, members):
    """Of this Dag run, after the reason that was given, with the nodes that failed; not what others did."""
    members("web-1", "web-2", "web-3")
    declare("2.4.0", run_id="earlier")
    declare("2.5.0", canary=1)
    desired = json.loads(consul_kv["demo/web/desired"])
    failed = JournalEntry(
        "2099-11-22T08:00:00.000Z",
        make_writer(),
        JournalAct.FAILED,
        {"web": Assignment.from_document(Document("k", desired["canary"]))},
        JournalWave("1", 1, 3),
        "1 failed (web-2), more than max_failed=0",
    )
    consul_kv["demo/_journal/20991122T080000.000Z-x"] = failed.to_json()
    roll_back(reason="auto_revert")
    reasons = [
        json.loads(text)["reason"] for key, text in consul_kv.items() if "/_journal/" in key and "rolled" in text
    ]
    assert reasons == ["auto_revert: 1 failed (web-2), more than max_failed=0"]


@pytest.mark.parametrize("to", [1, "1"])
def test_generation_of_the_history(roll_back, consul_kv, to):
    """A number, or a template that was rendered to one; going where the tier is already changes nothing."""
    for release in ("2.4.0", "2.5.0", "2.6.0"):
        declare(release)
    assert roll_back(to=to) == {"web": 4}
    assert current(consul_kv) == (4, "2.4.0")
    before = dict(consul_kv)
    assert roll_back(SECOND, to=4) == {"web": 4}
    assert dict(consul_kv) == before


def test_canary_is_rolled_back(roll_back, consul_kv, members, capsys):
    """Without a new generation, so nodes outside it do nothing; the log reports it."""
    members("web-1", "web-2", "web-3")
    declare("2.4.0")
    assert declare("2.5.0", canary=1) == {"web": 2}
    assert roll_back() == {"web": 1}
    assert current(consul_kv) == (1, "2.4.0")
    assert "demo/web: rolled back: all nodes are assigned generation 1" in capsys.readouterr().out


def test_several_tiers_are_one_transaction(roll_back, consul_kv):
    """Without a wait: when one tier has nothing to go back to, none is changed."""
    declare("2.4.0", tier=["web", "app"])
    declare("2.5.0", tier="web")
    before = dict(consul_kv)
    with pytest.raises(WriteRefused, match="demo/app: generation 1 has no earlier content"):
        roll_back(tier=["web", "app"])
    assert dict(consul_kv) == before
    declare("2.5.0", tier="app")
    assert roll_back(tier=["web", "app"]) == {"web": 3, "app": 3}


def test_tier_whose_nodes_fail_holds_up_those_before_it(roll_back, consul_kv, members):
    """With a wait, tiers go back in reverse order; a retry goes on where it stopped, and repeats nothing."""
    for tier in ("db", "web"):
        members(f"{tier}-1", tier=tier)
        for release in ("2.4.0", "2.5.0"):
            declare(release, tier=tier)
        consul_kv[f"demo/{tier}/nodes/{tier}-1"] = make_report(f"{tier}-1", tier=tier, generation=3).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_failure("web-1", generation=3).to_json()
    options = {"tier": ["db", "web"], "wait": ConvergencePolicy(timeout=timedelta(minutes=1))}
    with pytest.raises(AirflowFailException, match="demo/web: 1 of 1 members present failed"):
        roll_back(**options)
    assert (current(consul_kv, "web"), current(consul_kv, "db")) == ((3, "2.4.0"), (2, "2.5.0"))
    consul_kv["demo/web/nodes/web-1"] = make_report("web-1", generation=3).to_json()
    assert roll_back({"try_number": 2}, **options) == {"web": 3, "db": 3}
    assert (current(consul_kv, "web"), current(consul_kv, "db")) == ((3, "2.4.0"), (3, "2.4.0"))


def test_generation_leaves_anything_else_alone(roll_back, consul_kv):
    """Another generation, and nothing at all because the task before did not write, are stale."""
    for release in ("2.4.0", "2.5.0"):
        declare(release)
    before = dict(consul_kv)
    for generation in (1, {"web": 3}):
        with pytest.raises(AirflowFailException, match="cannot roll back generation .: generation 2 is the newest"):
            roll_back(generation=generation)
    operator = RollBackOperator(
        task_id="roll_back", environment="demo", tier="web", generation={"web": 2}, on_stale="skip"
    )
    operator.generation = None  # as a template renders the XCom of a task that failed
    with pytest.raises(AirflowSkipException, match="was never written"):
        operator.execute(make_context(task_id="roll_back"))
    with pytest.raises(InvalidInput, match="generation requires a single tier; got db, web"):
        roll_back(tier=["web", "db"], generation=2)
    assert dict(consul_kv) == before
    assert roll_back(generation={"web": 2}) == {"web": 3}


def test_only_own_leaves_others_writes_alone(roll_back, consul_kv):
    """What another Dag run wrote is refused like a stale write: failed, or skipped."""
    for release in ("2.4.0", "2.5.0"):
        declare(release, run_id="manual__9")
    before = dict(consul_kv)
    words = "demo/web: generation 2 was written by Dag shop_rollout, run manual__9, task set"
    with pytest.raises(AirflowFailException, match=words):
        roll_back(only_own=True)
    with pytest.raises(AirflowSkipException, match=words):
        roll_back(only_own=True, on_stale="skip")
    assert dict(consul_kv) == before
    assert roll_back({"run_id": "manual__9"}, only_own=True) == {"web": 3}


@pytest.mark.parametrize(("on_stale", "ending"), [("fail", AirflowFailException), ("skip", AirflowSkipException)])
def test_stale_rollback(roll_back, consul_kv, on_stale, ending):
    """A rollback of last month cannot take back what this month's run brought."""
    declare("2.4.0", sequence=100)
    declare("2.5.0", sequence=200)
    before = dict(consul_kv)
    with pytest.raises(
        ending,
        match="it belongs to sequence 1970-01-01T00:03:19Z, and generation 2 of sequence 1970-01-01T00:03:20Z",
    ):
        roll_back(sequence=199, on_stale=on_stale)
    assert dict(consul_kv) == before


def test_leased_environment(roll_back, consul_kv):
    """Another Dag run's lease refuses a rollback as it does any write."""
    for release in ("2.4.0", "2.5.0"):
        declare(release)
    consul_kv["demo/_lease"] = make_lease(holder=DagRun("other_rollout", "manual__9")).to_json()
    before = dict(consul_kv)
    with pytest.raises(EnvironmentLeased, match="held by Dag other_rollout, run manual__9"):
        roll_back()
    assert dict(consul_kv) == before


@pytest.mark.parametrize(
    ("to", "pruned", "words"),
    [
        (9, None, "generation 9 is not in the tier's history, which holds generations 1 to 2"),
        ("previous", 1, "generation 1 is not in the tier's history, which holds generations 2 to 2"),
    ],
)
def test_generation_that_the_history_does_not_have(roll_back, consul_kv, to, pruned, words):
    """Never there, or pruned since: an error that says what there is."""
    for release in ("2.4.0", "2.5.0"):
        declare(release)
    if pruned:
        del consul_kv[f"demo/_history/web/{pruned:012}"]
    before = dict(consul_kv)
    with pytest.raises(WriteRefused, match=f"demo/web: {words}"):
        roll_back(to=to)
    assert dict(consul_kv) == before


def test_tier_without_a_desired_state(roll_back, consul_kv):
    """There is nothing to roll back."""
    with pytest.raises(WriteRefused, match="demo/web: the tier has no desired state"):
        roll_back()
    consul_kv["demo/web/desired"] = "{"
    with pytest.raises(MalformedDocument, match="demo/web/desired: not JSON"):
        roll_back()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"environment": "de/mo"}, "environment 'de/mo' is not a name"),
        ({"tier": []}, "tier is an empty list"),
        ({"tier": ["web", ".."]}, "tier '..' is not a name"),
        ({"to": "last"}, 'to must be "last_good", "previous" or a generation, not \'last\''),
        ({"to": 0}, 'to must be "last_good", "previous" or a generation, not 0'),
        ({"to": -1}, 'to must be "last_good", "previous" or a generation, not -1'),
        ({"to": True}, 'to must be "last_good", "previous" or a generation, not True'),
        ({"to": None}, 'to must be "last_good", "previous" or a generation, not None'),
        ({"sequence": "yesterday"}, "sequence must be seconds since the epoch"),
        ({"on_stale": "ignore"}, 'on_stale must be "fail" or "skip", not \'ignore\''),
        ({"members": "servise:web"}, "invalid members 'servise:web'"),
        ({"members": []}, "members is an empty list"),
    ],
)
def test_bad_input_changes_nothing(roll_back, consul_kv, wrong, words):
    """One clear error that names the parameter, with a wait and without."""
    for release in ("2.4.0", "2.5.0"):
        declare(release)
    before = dict(consul_kv)
    for wait in (None, ConvergencePolicy()):
        with pytest.raises(InvalidInput, match=words):
            roll_back(**{"wait": wait} | wrong)
    assert dict(consul_kv) == before


def test_nobody_to_wait_for(roll_back, consul_kv):
    """A wait for a tier without members could only fail, so nothing is written."""
    for release in ("2.4.0", "2.5.0"):
        declare(release)
    before = dict(consul_kv)
    with pytest.raises(NoMembers, match="demo/web has no members"):
        roll_back(wait=ConvergencePolicy())
    assert dict(consul_kv) == before


@pytest.mark.parametrize("event", [None, {}, "converged"])
def test_event_is_validated_on_resume(event):
    """What comes out of the database is not trusted to be an outcome."""
    operator = RollBackOperator(task_id="roll_back", environment="demo", tier="web")
    with pytest.raises(ChefConsulError, match="the trigger's event is not "):
        operator.execute_complete(make_context(), event)


@pytest.mark.usefixtures("consul_kv")
def test_newest_of_several_generations(roll_back, members):
    """A wave that was cleared after its rollback wrote a generation of its own; it is taken back, too."""
    members("web-1", "web-2")
    declare("2.4.0", run_id="earlier")
    assert declare("2.5.0", task_id="wave_1", canary=1) == {"web": 2}
    both = [{"web": 2}, None]
    assert roll_back(generation=both, only_own=True) == {"web": 1}
    assert declare("2.5.0", task_id="wave_2", canary=2) == {"web": 3}
    assert roll_back(generation=[{"web": 2}, {"web": 3}], only_own=True) == {"web": 1}
    with pytest.raises(AirflowSkipException, match="never written"):
        roll_back(generation=[None, None], on_stale="skip")
