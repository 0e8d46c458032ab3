"""The JSON that the page draws."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.lease import Lease
from airflow_provider_chefconsul.domain.model.report import MESSAGE_LIMIT, RunError, Status
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import MalformedDocument
from airflow_provider_chefconsul.ui.document import (
    dag_ids_of,
    describe_cells,
    describe_lease,
    describe_node,
    describe_tier,
    explain,
)
from airflow_provider_chefconsul.ui.tier_state import changed_cells, next_state
from tests.support.factory import (
    NOW,
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_lease,
    make_report,
    make_snapshot,
    make_writer,
)


def everybody(_dag_id):
    """May read all Dags."""
    return True


def nobody(_dag_id):
    """May read no Dag."""
    return False


def state_of(snapshot, history=None):
    """The state of demo/web."""
    return next_state("demo", "web", snapshot, history or {})


def cells_of(state):
    """All cells, as the page gets them at first."""
    return changed_cells(None, state.status)[0]


def tier_of(snapshot, may_read=everybody, history=None):
    """A tier as the page gets it, at eight."""
    return json.loads(json.dumps(describe_tier(state_of(snapshot, history), may_read, now=NOW)))


def test_a_tier_says_what_is_assigned_and_how_many_are_there():
    """The desired state with its values, the counts by standing, the curve."""
    tier = tier_of(make_snapshot(make_report("web-1"), make_failure("web-2")))
    assert tier["desired"]["stable"] == {
        "generation": 7, "state": "converged", "values": [["release", "2.5.0"]], "values_left_out": 0,
    }  # fmt: skip
    assert tier["desired"]["canary"] is None
    assert (tier["members"], tier["counts"]) == (3, {"converged": 1, "not_reported": 1, "failed": 1})
    assert tier["curve"] == [["2026-11-22T08:00:09.000+00:00", 1]]
    assert tier["obstacles"] == []


def test_failed_nodes_are_explained_at_once():
    """Whoever looks at the tier need not look for them; those that are on their way are not named."""
    tier = tier_of(make_snapshot(make_failure("web-2", finished_at="2026-11-22T07:56:00Z")))
    assert tier["explained"] == [
        {
            "node": "web-2",
            "standing": "failed",
            "text": "failed converging generation 7, 4 minutes ago: "
            "Errno::ENOSPC: No space left on device in file[/srv/web/index.html]",
        }
    ]


def test_a_thousand_failures_are_counted_and_a_few_explained():
    """The document stays small."""
    names = [f"web-{number}" for number in range(1000)]
    tier = tier_of(make_snapshot(*(make_failure(name) for name in names), members=names))
    assert tier["counts"] == {"failed": 1000}
    assert [each["node"] for each in tier["explained"]] == ["web-0", "web-1", "web-2", "web-3"]
    assert len(json.dumps(tier)) < 5000


@pytest.mark.parametrize(
    ("snapshot", "obstacle"),
    [
        (make_snapshot(desired=None), "nobody has declared it"),
        (make_snapshot(desired=Unreadable("chefconsul/demo/web/desired", "is no JSON")), "is no JSON"),
        (make_snapshot(members=()), "it has no members"),
    ],
    ids=["undeclared", "malformed", "empty"],
)
def test_what_holds_a_whole_tier_up_is_said(snapshot, obstacle):
    """In the words of the explanation."""
    assert obstacle in tier_of(snapshot)["obstacles"][0]


def test_reports_of_nodes_that_are_no_members_are_counted():
    """They would be silently missed: perhaps the tier's members are not those of its service."""
    tier = tier_of(make_snapshot(make_report("web-8"), make_report("web-9")))
    assert (tier["strangers"], tier["strangers_count"]) == (["web-8", "web-9"], 2)


def test_a_curve_begins_when_the_newest_assignment_was_declared():
    """By the history, since a canary that widens is written again."""
    desired = make_desired(8, stable=make_assignment(7), canary=make_canary(8), written_at="2026-11-22T09:00:00Z")
    history = {8: make_desired(8, written_at="2026-11-22T08:30:00Z"), 7: make_desired(7)}
    assert tier_of(make_snapshot(desired=desired), history=history)["declared_at"] == "2026-11-22T08:30:00Z"


def test_the_history_is_told_newest_first_and_cut():
    """A generation that began as a canary has the canary's content."""
    canary = make_desired(31, stable=make_assignment(30), canary=make_canary(31))
    history = {generation: make_desired(generation) for generation in range(1, 31)} | {31: canary}
    told = tier_of(make_snapshot(), history=history)["history"]
    assert [each["generation"] for each in told] == list(range(31, 11, -1))
    assert [(each["is_canary"], each["values"]) for each in told[:2]] == [
        (True, [["release", "2.6.0"]]),
        (False, [["release", "2.5.0"]]),
    ]


def test_large_values_are_cut():
    """A desired state may hold 190 KB."""
    values = {f"value{number:03d}": "x" * 5000 for number in range(100)}
    desired = make_desired(stable=make_assignment(values=values))
    stable = tier_of(make_snapshot(desired=desired))["desired"]["stable"]
    assert (len(stable["values"]), stable["values_left_out"]) == (20, 80)
    assert all(len(value) == 121 and value.endswith("…") for _, value in stable["values"])


def test_values_keep_the_form_that_recipes_see():
    """JSON's null and true, not Python's."""
    desired = make_desired(stable=make_assignment(values={"a": None, "b": True, "c": 1.5, "d": "1"}))
    values = tier_of(make_snapshot(desired=desired))["desired"]["stable"]["values"]
    assert values == [["a", "null"], ["b", "true"], ["c", "1.5"], ["d", "1"]]


def test_names_of_dag_runs_are_withheld():
    """From who may not read their Dag: of the writer, of the history, of the lease; whoever may sees them."""
    snapshot, history, lease = make_snapshot(), {7: make_desired()}, make_lease(reason="for shop_rollout")
    withheld = json.dumps([tier_of(snapshot, nobody, history), describe_lease(lease, nobody)])
    assert "shop_rollout" not in withheld
    assert "manual__1" not in withheld
    assert tier_of(snapshot, everybody, history)["history"][0]["written_by"]["run_id"] == "manual__1"
    assert describe_lease(lease, everybody)["dag_id"] == "shop_rollout"


def test_dags_are_told_apart():
    """May the viewer read one of two, one is named."""
    history = {6: make_desired(6, written_by=make_writer(dag_id="secret")), 7: make_desired()}
    told = tier_of(make_snapshot(), lambda dag_id: dag_id == "shop_rollout", history)["history"]
    assert [each["written_by"] and each["written_by"]["dag_id"] for each in told] == ["shop_rollout", None]


def test_all_dags_that_are_named_are_known():
    """So that the viewer's permission is asked for each."""
    history = {6: make_desired(6, written_by=make_writer(dag_id="older"))}
    lease = make_lease(holder=make_lease().holder.of(make_writer(dag_id="holder")))
    assert dag_ids_of(state_of(make_snapshot(), history), lease) == {"older", "shop_rollout", "holder"}
    assert dag_ids_of(None, Unreadable("k", "spoilt")) == set()


def test_a_lease_that_cannot_be_read_is_a_problem():
    """It stops everybody, so it is said; and no lease is none."""
    assert "nobody may write" in describe_lease(Unreadable("demo/_lease", "is no JSON"), nobody)["problem"]
    assert describe_lease(None, everybody) is None


@pytest.mark.parametrize(
    ("written_by", "problem"),
    [
        ("secret_dag", "field written_by must be an object; put back the newest document of the tier's history"),
        ({"dag_id": ["secret_dag"]}, "field written_by.dag_id must be a string; put back"),
        ({"dag_id": "d", "run_id": {"of": "secret_dag"}}, "field written_by.run_id must be a string; put back"),
    ],
)
def test_malformed_documents_do_not_tell_who_wrote_them(written_by, problem):
    """Whose names they hold cannot be read, so nobody can say who may see them: what stands there is left out."""
    with pytest.raises(MalformedDocument, match="secret_dag") as spoilt:
        DesiredState.from_json(
            "demo/web/desired", json.dumps(json.loads(make_desired().to_json()) | {"written_by": written_by})
        )
    (obstacle,) = tier_of(make_snapshot(desired=Unreadable.of(spoilt.value)), nobody)["obstacles"]
    assert problem in obstacle
    assert "secret_dag" not in obstacle
    with pytest.raises(MalformedDocument, match="secret_dag") as spoilt:
        Lease.from_json("demo/_lease", json.dumps(json.loads(make_lease().to_json()) | {"holder": written_by}))
    described = describe_lease(Unreadable.of(spoilt.value), nobody)["problem"]
    assert "field holder" in described
    assert described.endswith("; delete this key when no rollout is going on")
    assert "secret_dag" not in described
    with pytest.raises(MalformedDocument, match="secret_dag") as spoilt:
        DesiredState.from_json("demo/web/desired", json.dumps([written_by]))
    assert "secret_dag" not in json.dumps(tier_of(make_snapshot(desired=Unreadable.of(spoilt.value)), nobody))


def test_a_node_is_explained_with_its_report():
    """What is assigned, what it reports, since when, and who can act."""
    failure = make_failure("web-2", finished_at="2026-11-22T07:56:00Z")
    node = describe_node(state_of(make_snapshot(failure)), "web-2", everybody, now=NOW)
    assert node["text"].startswith("failed converging generation 7, 4 minutes ago: Errno::ENOSPC")
    assert node["action"].startswith("fix the node")
    assert node["since"] == "2026-11-22T07:56:00.000+00:00"
    assert node["assigned"]["generation"] == 7
    assert (node["is_canary"], node["is_canary_out"]) == (False, False)
    assert node["report"]["error"]["resource"] == "file[/srv/web/index.html]"


def test_a_node_beside_a_canary_is_told_from_one_without():
    """Only then is what it is assigned the stable one of two."""
    desired = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    node = describe_node(state_of(make_snapshot(desired=desired)), "web-1", everybody, now=NOW)
    assert node["is_canary_out"]


def test_a_node_without_a_readable_report_is_explained_too():
    """One that never reported, one whose report is spoilt, and one of a tier that nobody declared."""
    state = state_of(make_snapshot(("web-2", Unreadable("demo/web/nodes/web-2", "is no JSON"))))
    assert describe_node(state, "web-1", everybody, now=NOW)["report"] is None
    assert "is no JSON" in describe_node(state, "web-2", everybody, now=NOW)["report"]["problem"]
    undeclared = describe_node(state_of(make_snapshot(make_report("web-1"), desired=None)), "web-1", everybody, now=NOW)
    assert (undeclared["standing"], undeclared["assigned"]) == (None, None)
    assert "nothing is assigned" in undeclared["text"]
    assert describe_node(state, "web-9", everybody, now=NOW) is None


def test_a_node_leads_to_the_task_that_assigned_it():
    """That of the wave that wrote last, whose log has the wait; of the stable state for those beside the canary."""
    wave, old = make_writer(task_id="web.wave_2", map_index=3), make_writer(task_id="web.old")
    desired = make_desired(8, stable=make_assignment(7), canary=make_canary(8), written_by=wave)
    state = state_of(make_snapshot(desired=desired), {7: make_desired(written_by=old), 8: make_desired(8)})
    canary, beside = (describe_node(state, name, everybody, now=NOW)["assigned_by"] for name in ("web-1", "web-2"))
    assert (canary["task_id"], canary["map_index"]) == ("web.wave_2", 3)
    assert beside["task_id"] == "web.old"
    assert describe_node(state, "web-1", nobody, now=NOW)["assigned_by"] is None
    undeclared = state_of(make_snapshot(make_report("web-1"), desired=None))
    assert describe_node(undeclared, "web-1", everybody, now=NOW)["assigned_by"] is None


def test_a_run_that_takes_longer_than_the_others_is_explained():
    """Though nothing has failed; one that has just begun is not."""
    state = state_of(make_snapshot(make_report("web-1"), make_report("web-2", status=Status.RUNNING, finished_at=None)))
    assert explain(state, now=NOW) == []
    (slow,) = explain(state, now=NOW + timedelta(minutes=9))
    assert (slow["node"], slow["text"]) == ("web-2", "running generation 7 for 8 minutes")


def test_what_a_report_hides_is_shown():
    """Control characters and bidirectional marks as escapes; lines stay lines, and the length stays."""
    message = "\x1b[2Jfirst\r\nse\u202econd\x00" + "x" * MESSAGE_LIMIT
    failure = make_failure(error=RunError("Evil\u2066", message[:MESSAGE_LIMIT], "<img src=x onerror=alert(1)>"))
    error = describe_node(state_of(make_snapshot(failure)), "web-1", everybody, now=NOW)["report"]["error"]
    assert error["message"].startswith("\\x1b[2Jfirst\\r\nse\\u202econd\\x00xxx")
    assert error["message"].endswith("xxx")
    assert error["class"] == "Evil\\u2066"
    assert error["resource"] == "<img src=x onerror=alert(1)>"


def test_cells_are_lists():
    """Short ones, since there may be thousands."""
    state = state_of(make_snapshot(make_report("web-1")))
    assert json.loads(json.dumps(describe_cells(cells_of(state))))[:2] == [
        ["web-1", "converged", 0, 7, "converged", "succeeded"],
        ["web-2", "not_reported", 0, None, None, None],
    ]


def test_ten_thousand_nodes_fit_into_a_megabyte():
    """So that the first picture of a large tier comes soon."""
    names = [f"web-{number:05d}.example.org" for number in range(10_000)]
    state = state_of(make_snapshot(*(make_report(name) for name in names), members=names))
    assert len(json.dumps(describe_cells(cells_of(state)), separators=(",", ":"))) < 1_000_000


def test_a_moment_is_told_with_milliseconds():
    """The page reckons with it."""
    state = state_of(make_snapshot())
    assert (
        describe_tier(state, everybody, now=NOW + timedelta(milliseconds=5))["now"] == "2026-11-22T08:00:00.005+00:00"
    )
