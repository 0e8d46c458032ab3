"""Where a tier and its members stand, beside what they were assigned and what they reported."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.domain.model.report import Status
from airflow_provider_chefconsul.domain.verdict.standing import Standing
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from airflow_provider_chefconsul.exceptions import MalformedDocument
from tests.support.factory import (
    NOW,
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_report,
    make_snapshot,
)

ALL = [make_report(node) for node in ("web-1", "web-2", "web-3")]
SPOILT = MalformedDocument("demo/web/nodes/web-1", "not JSON")


def look(*reports, **overrides):
    """The tier of :func:`make_snapshot`."""
    return tier_status("demo", "web", make_snapshot(*reports, **overrides), now=NOW)


@pytest.mark.parametrize(
    ("reports", "overrides", "expected"),
    [
        (ALL, {}, True),
        (ALL[:2], {}, False),
        (ALL[:2], {"members": ("web-1", "web-2"), "absent": ("web-3",)}, True),
        ([], {"members": (), "absent": ("web-3",)}, False),
        ([], {"members": ()}, False),
        ([*ALL[:2], make_failure("web-3")], {}, False),
        ([*ALL[:2], make_report("web-3", status=Status.RUNNING)], {}, False),
        (ALL, {"desired": None}, False),
        (ALL, {"desired": SPOILT}, False),
    ],
)
def test_tier_has_converged_when_all_present_have(reports, overrides, expected):
    """As the default policy of a wait says; nobody, and a tier that desires nothing, have not."""
    assert look(*reports, **overrides).has_converged is expected


def test_canary_is_judged_by_its_own_assignment():
    """Both sides must be where they should be."""
    desired = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
    assert not look(*ALL, desired=desired).has_converged
    canary = make_report("web-1", generation=8)
    status = look(canary, *ALL[1:], desired=desired)
    assert status.has_converged
    assert [node.assigned.generation for node in status.nodes.values()] == [8, 7, 7]


def test_node_has_what_was_found():
    """Report, standing, reason and since when; a report that cannot be read is none."""
    status = look(("web-1", SPOILT), make_failure("web-2"))
    spoilt, failed, silent = status.nodes.values()
    assert (spoilt.standing, spoilt.report, spoilt.why) == (Standing.MALFORMED, None, str(SPOILT))
    assert failed.why.startswith("Errno::ENOSPC: No space left")
    assert failed.since == status.explanation.nodes["web-2"].since is not None
    assert (silent.report, silent.since, silent.why) == (None, None, "has never reported")


def test_nothing_is_assigned():
    """Members are listed all the same."""
    node = look(*ALL, desired=None).nodes["web-1"]
    assert (node.assigned, node.standing, node.why) == (None, None, "nothing is assigned")
    assert node.report == ALL[0]
