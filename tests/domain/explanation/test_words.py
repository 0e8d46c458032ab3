"""The explanation of tiers and nodes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.explanation.node import explain_node, explain_nodes
from airflow_provider_chefconsul.domain.explanation.tier import explain_tier
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.lease import DagRun, Lease
from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.model.report import RunError, Status, WaitsFor
from airflow_provider_chefconsul.domain.model.snapshot import Evidence
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.verdict.standing import judge
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from airflow_provider_chefconsul.exceptions import UnknownSchema
from tests.support.factory import (
    NOW,
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_report,
    make_snapshot,
)

LATER = NOW + timedelta(minutes=4, seconds=9)  # four minutes after make_report's runs ended
SPOILT = Unreadable("chefconsul/demo/web/nodes/web-1", "not JSON")
STILL = {"status": Status.RUNNING, "finished_at": None}


def look(report=None, *, index=100, desired=None, must_be_healthy=False, failures_after=0, **member):
    """The status of web-1."""
    evidence = None if report is None else Evidence(report, index)
    history = {"must_be_healthy": must_be_healthy, "failures_after": failures_after}
    return judge(Member("web-1", **member), desired or make_desired(), evidence, **history)


def explain(report=None, *, now=LATER, **overrides):
    """The explanation of web-1."""
    return explain_node(look(report, **overrides), now=now)


@pytest.mark.parametrize(
    ("report", "member", "text"),
    [
        (make_report(), {}, "converged on generation 7, 4 minutes ago"),
        (make_report(), {"presence": Presence.FAILED},
         "lost, its agent is not alive; it had converged; it last ran generation 7 (succeeded 4 minutes ago)"),
        (make_report(generation=6), {"presence": Presence.FAILED},
         "absent, its agent is not alive; it last ran generation 6 (succeeded 4 minutes ago)"),
        (make_report(), {"presence": Presence.GONE},
         "left, it is gone from Consul's catalog; it last ran generation 7 (succeeded 4 minutes ago)"),
        (None, {"presence": Presence.FAILED}, "absent, its agent is not alive"),
        (None, {"presence": Presence.UNKNOWN}, "unknown, Consul does not list it, and it has never reported"),
        (make_report(node_id="new"), {"node_id": "old"},
         "not reported: its report was written by an earlier machine of that name, 4 minutes ago"),
        (make_report(status=Status.INTERRUPTED), {},
         "interrupted on generation 7, 4 minutes ago: its run was cut off from outside; its next run decides"),
        (make_report(**STILL, previous_status=Status.FAILED), {},
         ("failed converging generation 7: the run before failed, and the one since 2026-11-22T08:00:01Z has not ended "
         "(running)")),
        (make_report(**STILL, previous_status=Status.SUCCEEDED), {}, "converged on generation 7, runs again"),
        (None, {}, "not reported: has never reported"),
        (make_failure(generation=None, state=None), {},
         ("not reported: its last run ended before it had read a generation: Errno::ENOSPC: No space left on device in "
         "file[/srv/web/index.html], 4 minutes ago")),
        (make_report(**STILL | {"status": Status.WAITING}, waits_for=WaitsFor(("web-2", "web-3"), 2, 17)), {},
         "waiting for a slot for 4 minutes, to converge on generation 7: behind web-2, web-3; 2 slots, 17 ahead of it"),
        (make_report(**STILL | {"status": Status.WAITING}), {},
         ("waiting for a slot for 4 minutes, to converge on generation 7: its report does not say behind whom")),
        (make_report(**STILL), {}, "running generation 7 for 4 minutes"),
        (make_report(status=Status.REBOOTING), {}, "rebooting for 4 minutes, on generation 7"),
        (make_failure(), {},
         ("failed converging generation 7, 4 minutes ago: Errno::ENOSPC: No space left on device in "
         "file[/srv/web/index.html]")),
        (make_report(status=Status.FAILED), {}, "failed converging generation 7, 4 minutes ago: no reason given"),
        (make_report(generation=6), {},
         "last ran generation 6 (succeeded 4 minutes ago), and was assigned generation 7, 4 minutes ago"),
        (make_report(state="off"), {}, "reports state off, not converged, on generation 7, 4 minutes ago"),
        (SPOILT, {}, "its report cannot be read: chefconsul/demo/web/nodes/web-1: not JSON"),
    ],
)  # fmt: skip
def test_each_standing_in_words(report, member, text):
    """The report, what holds the node up, and since when."""
    explanation = explain(report, **member)
    assert explanation.text == text
    assert str(explanation) == f"web-1: {text}"
    assert bool(explanation.action) is not look(report, **member).has_converged


def test_run_of_an_earlier_generation_is_let_end():
    """Another run would only wait for its lock."""
    report = make_report(generation=6, **STILL | {"status": Status.RUNNING})
    assert explain(report).action == "its earlier run has not ended: wait, or stop it on the node"
    for ended in (Status.SUCCEEDED, Status.INTERRUPTED, Status.REBOOTING):
        assert explain(make_report(generation=6, status=ended)).action.startswith("run chef-client on it")


def test_node_that_queued_for_an_earlier_generation_gets_the_newest():
    """It waits for its turn, and not for its run of then to end."""
    action = explain(make_report(generation=6, **STILL | {"status": Status.WAITING})).action
    assert action.startswith("wait; if a slot is held by a node that is gone or failed, see who: chefconsul slots")
    assert action.endswith("when its turn comes, it reads what is desired then")


def test_node_whose_moment_has_not_come_is_not_sent_for():
    """Nodes are spread over an hour so that they do not begin at once."""
    desired = make_desired(stable=make_assignment(pace=AssignmentPace(spread_over=3600)))
    status = tier_status(make_snapshot(make_report(generation=6), desired=desired))
    at = read_moment(desired.written_at)
    begins = at + timedelta(seconds=desired.stable.delay_of("web-1"))
    before = explain_node(status.nodes["web-1"], now=begins - timedelta(minutes=2))
    assert before.action == "wait; it begins by itself in 2 minutes, since nodes are spread over time"
    assert explain_node(status.nodes["web-1"], now=begins).action.startswith("run chef-client on it")


def test_unhealthy_and_earlier_failures_are_what_a_wait_found():
    """A wait knows more than a single look, and its status says so."""
    unhealthy = explain(make_report(), must_be_healthy=True, unhealthy=("http is critical",))
    assert unhealthy.text == "converged on generation 7, 4 minutes ago, but http is critical"
    assert explain(make_failure(), failures_after=100).text.startswith(
        "failed converging generation 7 before this try, 4 minutes ago; its next run decides: Errno::ENOSPC"
    )


def test_text_of_a_node_is_one_safe_line():
    """Control characters would move the reader's cursor."""
    error = RunError("E\x1b[2J", "first\nsecond\u202e", "file[/x\r]")
    assert explain(make_failure(error=error)).text.endswith(r"E\x1b[2J: first second\u202e in file[/x ]")


def test_unreadable_times_are_left_out():
    """Times in reports are for people; a node may write anything there."""
    report = make_report(started_at="soon", finished_at="later")
    assert explain(report).text == "converged on generation 7"
    assert look(report).since is None


def test_only_the_newest_generation_has_a_time_of_assignment():
    """The time of a later canary does not say when other nodes got their assignment."""
    desired = make_desired(8, stable=make_desired(7).stable, canary=make_canary(nodes=("web-9",)))
    explanation = explain(make_report(generation=5), desired=desired)
    assert explanation.text == "last ran generation 5 (succeeded 4 minutes ago), and was assigned generation 7"
    assert look(make_report(generation=5), desired=desired).since is None


EARLY = EarlyFailure("web-1", "2026-11-22T08:03:09Z", RunError("SyntaxError", "unexpected end"), modify_index=101)


@pytest.mark.parametrize("report", [None, make_report(generation=6)])
def test_early_failure_is_explained(report):
    """It explains why a node does not report, or reports nothing new."""
    explanation = explain_node(look(report), now=LATER, early_failure=EARLY)
    assert explanation.text.endswith(
        "; its last run ended before it had read a tier, 1 minute ago: SyntaxError: unexpected end"
    )


@pytest.mark.parametrize(("report", "index"), [(make_report(), 100), (make_report(generation=6), 102)])
def test_early_failure_is_history_once_the_node_has_reported(report, index):
    """Its document remains in Consul."""
    assert "SyntaxError" not in explain_node(look(report, index=index), now=LATER, early_failure=EARLY).text


def test_tier_shows_desired_state_and_obstacles():
    """The headline counts; the obstacles name the nodes and what to do."""
    lease = Lease.begin(DagRun("shop_rollout", "manual__1"), timedelta(minutes=15), "release 2.5.0", now=NOW)
    snapshot = make_snapshot(make_report("web-1"), make_failure("web-3"), absent=["web-4"])
    explanation = explain_tier("demo", "web", tier_status(snapshot), now=LATER, lease=lease)
    assert explanation.headline == (
        "demo/web: assigned generation 7, state converged, release=2.5.0; 1 of 4 members converged"
    )
    assert explanation.written == "written by Dag shop_rollout, run manual__1, task web.set, 4 minutes ago"
    assert explanation.obstacles == (
        "held up by 1 not_reported (web-2), 1 failed (web-3)",
        "excused, since they were not there: 1 absent (web-4)",
        (
            "lease held by Dag shop_rollout, run manual__1, acquired 4 minutes ago (release 2.5.0): only that Dag run "
            "may write"
        ),
    )
    assert list(explain_nodes(tier_status(snapshot), now=LATER)) == ["web-1", "web-2", "web-3", "web-4"]


def test_tier_with_a_canary_shows_both_assignments():
    """Both are current."""
    desired = make_desired(8, stable=make_desired(7).stable, canary=make_canary())
    snapshot = make_snapshot(make_report("web-1", generation=8), make_report("web-2"), desired=desired)
    explanation = explain_tier("demo", "web", tier_status(snapshot), now=LATER)
    assert explanation.headline == (
        "demo/web: canary assigned generation 8, state converged, release=2.6.0, the others "
        "generation 7, state converged, release=2.5.0; 2 of 3 members converged"
    )
    assert explanation.obstacles[1] == (
        "a canary is out on 1 of 3 members; promote it to give it to all, or abort its rollout"
    )


def test_converged_tier_has_no_obstacles():
    """Nothing holds it up."""
    snapshot = make_snapshot(*(make_report(f"web-{number}") for number in (1, 2, 3)))
    assert explain_tier("demo", "web", tier_status(snapshot), now=LATER).obstacles == ()


@pytest.mark.parametrize(
    ("desired", "headline", "obstacle"),
    [
        (None, "demo/web: no desired state", "nobody has declared it, or its key was deleted"),
        (Unreadable("chefconsul/demo/web/desired", "not JSON"), "demo/web: its desired state cannot be read",
         "chefconsul/demo/web/desired: not JSON; put back the newest document of the tier's history"),
        (Unreadable("chefconsul/demo/web/desired", "schema 2 is unknown: upgrade it", kind=UnknownSchema),
         "demo/web: its desired state cannot be read", "chefconsul/demo/web/desired: schema 2 is unknown"),
    ],
)  # fmt: skip
def test_tier_whose_desired_state_is_missing_or_spoilt(desired, headline, obstacle):
    """Nothing is assigned, and the nodes' last reports are shown."""
    snapshot = make_snapshot(make_report("web-1"), ("web-2", SPOILT), desired=desired, absent=["web-4"])
    explanation = explain_tier("demo", "web", tier_status(snapshot), now=LATER)
    assert explanation.headline == headline
    assert explanation.obstacles[0].startswith(obstacle)
    assert ("put back" in explanation.obstacles[0]) is ("put back" in obstacle)
    status = tier_status(snapshot)
    assert {name: node.text for name, node in explain_nodes(status, now=LATER).items()} == {
        "web-1": "nothing is assigned; it reported succeeded on generation 7, 4 minutes ago",
        "web-2": f"nothing is assigned; its report cannot be read: {SPOILT}",
        "web-3": "nothing is assigned; it has never reported",
        "web-4": "absent; nothing is assigned; it has never reported",
    }
    assert {node.standing for node in status.nodes.values()} == {None}


def test_tier_without_members_and_a_spoilt_lease():
    """Both stop a rollout before any node does."""
    spoilt = Unreadable("chefconsul/demo/_lease", "not JSON")
    explanation = explain_tier("demo", "web", tier_status(make_snapshot(members=())), now=LATER, lease=spoilt)
    assert explanation.obstacles == (
        "it has no members: Consul lists no node for it, so nobody can converge",
        "the environment's lease cannot be read, so nobody may write: chefconsul/demo/_lease: not JSON",
    )


def test_tier_without_members_that_nodes_report_in():
    """Their service may have a name other than the tier's."""
    snapshot = make_snapshot(make_report("web-1"), make_report("web-2"), make_report("web-10"), members=())
    obstacle = explain_tier("demo", "web", tier_status(snapshot), now=NOW).obstacles[0]
    assert obstacle == (
        "it has no members: Consul lists no node for it, so nobody can converge; yet web-1 and 2 more report in it: "
        "check how members are named"
    )
