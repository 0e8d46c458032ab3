"""What a watch without a screen prints for two looks at a tier."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_chefconsul.cli.display.change_log import changes_between
from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from tests.support.factory import NOW, make_failure, make_report, make_snapshot

HEADLINE = "demo/web: assigned generation 7, state converged, release=2.5.0; {} of 3 members converged"


def look(*reports, minutes=0, **overrides):
    """The tier of :func:`make_snapshot` some minutes later."""
    now = NOW + timedelta(minutes=minutes)
    return ShownTier.of("demo", "web", tier_status(make_snapshot(*reports, **overrides)), now=now)


def changes(before, after, **options):
    """The lines between two looks."""
    return changes_between(before, after, **options)


def test_first_look_names_who_holds_it_up():
    """Nodes that have converged are only counted."""
    assert changes(None, look(make_report("web-1"), make_report("web-2"))) == [
        HEADLINE.format(2),
        "demo/web web-3: not reported: has never reported",
    ]


def test_only_what_differs_is_named():
    """A node that converges also changes the headline; one that begins to run does not."""
    first = look(make_report("web-1"))
    running = make_report("web-2", status=Status.RUNNING, finished_at=None)
    second = look(make_report("web-1"), running, minutes=1)
    assert changes(first, second) == ["demo/web web-2: running generation 7 for 59 seconds"]
    third = look(make_report("web-1"), make_report("web-2"), minutes=1)
    assert changes(second, third) == [
        HEADLINE.format(2),
        "demo/web web-2: converged on generation 7, 51 seconds ago",
    ]


def test_time_alone_is_no_change():
    """Else a watch would print a line for each node each minute."""
    reports = (make_report("web-1"), make_failure("web-2"))
    assert changes(look(*reports), look(*reports, minutes=60)) == []


def test_another_failure_is_a_change():
    """Even of a node that had failed before."""
    (line,) = changes(look(make_failure("web-1")), look(make_report("web-1", status=Status.FAILED)))
    assert line.startswith("demo/web web-1: failed converging generation 7")


def test_node_that_left():
    """It would vanish unnoticed otherwise."""
    lines = changes(look(), look(members=("web-1", "web-2")))
    assert lines == [HEADLINE.format(0).replace("of 3", "of 2"), "demo/web web-3: is no longer a member"]


def test_many_at_once_are_counted():
    """Unless all are requested."""
    nodes = [f"web-{number:03}" for number in range(100)]
    lines = changes(None, look(members=nodes))
    assert len(lines) == 22
    assert lines[-1] == "demo/web … and 80 more nodes; --all names them"
    assert len(changes(None, look(members=nodes), lists_all=True)) == 101
