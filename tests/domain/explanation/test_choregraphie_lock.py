"""Locks of choregraphie, as its version 1.0.5 writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_provider_chefconsul.domain.explanation.choregraphie_lock import explain_lock
from airflow_provider_chefconsul.domain.model.choregraphie_lock import ChoregraphieLock
from airflow_provider_chefconsul.exceptions import MalformedDocument
from tests.support.factory import make_members

NOW = datetime(2026, 11, 22, 8, 14, tzinfo=UTC)
SINCE = "2026-11-22 08:00:00 +0000"  # Ruby's Time#to_json
MEMBERS = make_members("web-1", "web-2", absent=["web-3"])


def explain(running=(), **fields):
    """What is said of a lock with these fields."""
    text = json.dumps({"version": 1, "concurrency": 1, "holders": {}} | fields)
    return explain_lock(ChoregraphieLock.from_json("locks/web", text), running, MEMBERS, now=NOW)


@pytest.mark.parametrize(
    ("running", "fields", "text"),
    [
        (["web-1"], {}, "0 of 1 nodes"),
        ([], {"holders": {"web-2": SINCE}}, "1 of 1 nodes, held by web-2 for 14 minutes"),
        (
            ["web-2", "web-1"],
            {"holders": {"web-2": SINCE}},
            "1 of 1 nodes, held by web-2 for 14 minutes; web-1 may wait for it",
        ),
        (["web-1"], {"concurrency": 2, "holders": {"web-2": SINCE}}, "1 of 2 nodes, held by web-2 for 14 minutes"),
        (
            ["web-1"],
            {"holders": {"web-3": SINCE}},
            "1 of 1 nodes, held by web-3 for 14 minutes (its agent is not alive); web-1 may wait for it",
        ),
        (["web-1"], {"holders": {"db-1": "lately"}}, "1 of 1 nodes, held by db-1; web-1 may wait for it"),
        (
            ["web-1", "web-2", "web-3"],
            {"concurrency": 2, "holders": {"web-2.example.com": SINCE, "WEB-3.example.com": SINCE}},
            (
                "2 of 2 nodes, held by web-2.example.com for 14 minutes, "
                "WEB-3.example.com for 14 minutes (its agent is not alive); web-1 may wait for it"
            ),
        ),
        (
            ["web-1"],
            {"holders": {"web-12.example.com": SINCE}},
            "1 of 1 nodes, held by web-12.example.com for 14 minutes; web-1 may wait for it",
        ),
        (
            ["web-1"],
            {"holders": {"r1": {"web-2": SINCE, "web-3": SINCE}}},
            (
                "1 of 1 racks, held by web-2 for 14 minutes, web-3 for 14 minutes (its agent is not alive); "
                "web-1 may wait for it"
            ),
        ),
    ],
)
def test_who_holds_it_and_who_may_wait(running, fields, text):
    """A node that waits writes nothing, so only a full lock can be what a running node waits for."""
    assert explain(running, **fields) == f"lock locks/web: {text}"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"holders": []}, "field holders must be an object"),
        ({"holders": {"web-1": 7}}, "field holders.web-1 must be a string"),
        ({"holders": {"r1": {"web-1": SINCE}, "web-2": SINCE}}, "field holders.web-2 must be an object"),
        ({"concurrency": "2"}, "field concurrency must be an integer"),
        ({"version": None}, "field version must be an integer"),
    ],
)
def test_what_is_no_lock_is_named(fields, problem):
    """With the field."""
    with pytest.raises(MalformedDocument, match=problem):
        explain(**fields)
