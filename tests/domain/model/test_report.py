"""A node's report: its JSON form, and what it says about an assignment."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.name import is_name
from airflow_provider_chefconsul.domain.model.report import (
    MESSAGE_LIMIT,
    Mended,
    NodeReport,
    RunError,
    Status,
    WaitsFor,
    previous_status,
)
from airflow_provider_chefconsul.exceptions import MalformedDocument
from tests.support.factory import make_assignment, make_failure, make_report

KEY = "chefconsul/demo/web/nodes/web-1"
names = st.text("abcXYZ019._-", min_size=1, max_size=12).filter(is_name)
reports = st.builds(
    NodeReport,
    node=names,
    tier=names,
    generation=st.none() | st.integers(0, 2**63 - 1),
    state=st.none() | names,
    status=st.sampled_from(Status),
    run_id=st.text(),
    started_at=st.text(),
    finished_at=st.none() | st.text(),
    updated_resources=st.integers(0, 2**63 - 1),
    source=st.sampled_from(["consul", "cache", "default"]),
    client=st.text(),
    error=st.none() | st.builds(RunError, st.text(), st.text(max_size=50), st.text()),
)


@given(reports)
def test_json_form_round_trips(report):
    """A report reads back as the same."""
    assert NodeReport.from_json(KEY, report.to_json().encode()) == report


@given(reports, st.data())
def test_any_field_of_another_type_is_malformed_or_read_as_it_stands(report, data):
    """Garbage in one field is an error that names the key, never another exception."""
    fields = json.loads(report.to_json())
    part = data.draw(st.sampled_from([fields, *([fields["error"]] if fields["error"] else [])]))
    name = data.draw(st.sampled_from(sorted(part)))
    part[name] = data.draw(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.none())
    )
    try:
        read = NodeReport.from_json(KEY, json.dumps(fields))
    except MalformedDocument as error:
        assert error.key == KEY
    else:
        assert NodeReport.from_json(KEY, read.to_json()) == read


def test_long_message_is_cut():
    """To 2000 characters, so that a report stays small."""
    report = make_failure(error=RunError("RuntimeError", "x" * (MESSAGE_LIMIT + 1)))
    read = NodeReport.from_json(KEY, report.to_json())
    assert read.error == RunError("RuntimeError", "x" * MESSAGE_LIMIT)


@pytest.mark.parametrize(
    ("overrides", "has_converged"),
    [
        ({}, True),
        ({"status": Status.RUNNING}, False),
        ({"status": Status.FAILED}, False),
        ({"status": Status.REBOOTING}, False),
        ({"generation": 6}, False),
        ({"generation": 8}, False),
        ({"generation": None}, False),
        ({"state": "off"}, False),
        ({"state": None}, False),
        ({"source": "cache"}, True),
    ],
)
def test_converged_is_success_on_this_very_assignment(overrides, has_converged):
    """Generation, state and success must all match; the source does not matter."""
    assert make_report(**overrides).has_converged_on(make_assignment(7)) is has_converged


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RunError("Errno::ENOSPC", "No space left"), "Errno::ENOSPC: No space left"),
        (RunError("Errno::ENOSPC", "No space left", "file[/a]"), "Errno::ENOSPC: No space left in file[/a]"),
        (RunError("Mixlib::ShellOut", "Expected 0\n  got 1\n"), "Mixlib::ShellOut: Expected 0 got 1"),
    ],
)
def test_error_is_one_line(error, words):
    """Whatever the message contains, for logs."""
    assert str(error) == words


@pytest.mark.parametrize(
    ("before", "found"),
    [
        (None, None),
        (make_report(generation=6), None),
        (make_report(generation=None), None),
        (make_report(id="b2"), None),
        (make_report(id="a1"), Status.SUCCEEDED),
        (make_report(), Status.SUCCEEDED),
        (make_failure(), Status.FAILED),
        (make_report(status=Status.WAITING), None),
        (make_report(status=Status.WAITING, previous_status=Status.SUCCEEDED), Status.SUCCEEDED),
        (make_report(status=Status.WAITING, previous_status=Status.FAILED), Status.FAILED),
        (make_report(status=Status.RUNNING), Status.RUNNING),
        (make_report(status=Status.RUNNING, previous_status=Status.SUCCEEDED), Status.RUNNING),
        (make_report(status=Status.RUNNING, previous_status=Status.FAILED), Status.FAILED),
        (make_report(status=Status.REBOOTING, previous_status=Status.FAILED), Status.FAILED),
        (make_report(status=Status.INTERRUPTED, previous_status=Status.FAILED), Status.FAILED),
        (make_report(status=Status.INTERRUPTED), Status.INTERRUPTED),
        (make_report(previous_status=Status.FAILED), Status.SUCCEEDED),
    ],
)
def test_previous_status(before, found):
    """Only a run on the same assignment counts, and only a finished run replaces a failure."""
    assert previous_status(before, make_assignment(7, id="a1")) is found


def test_what_a_node_waits_for():
    """The field is only there while it waits, so that other reports are as they were."""
    waiting = make_report(status=Status.WAITING, waits_for=WaitsFor(("web-2", "web-3"), 2, 17))
    document = json.loads(waiting.to_json())
    assert document["waits_for"] == {"slot": ["web-2", "web-3"], "of": 2, "ahead": 17}
    assert NodeReport.from_json("k", waiting.to_json()) == waiting
    assert "waits_for" not in json.loads(make_report().to_json())
    for wrong in ({"slot": ["web 2"]}, {"slot": "web-2"}, {"of": None}, {"ahead": -1}):
        text = json.dumps({**document, "waits_for": {**document["waits_for"], **wrong}})
        with pytest.raises(MalformedDocument, match=f"waits_for.{next(iter(wrong))}"):
            NodeReport.from_json("k", text)


def test_what_was_mended():
    """The field is only there where drift was mended."""
    report = make_report(mended=Mended("2026-11-22", 2, 4))
    assert json.loads(report.to_json())["mended"] == {"on": "2026-11-22", "runs": 2, "resources": 4}
    assert NodeReport.from_json("k", report.to_json()) == report
    assert "mended" not in json.loads(make_report().to_json())
    with pytest.raises(MalformedDocument, match=r"mended\.runs"):
        NodeReport.from_json("k", json.dumps({**json.loads(report.to_json()), "mended": {"on": "2026-11-22"}}))
