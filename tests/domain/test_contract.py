"""The Python side against tests/contract, which the cookbook's specs read too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_chefconsul.domain.model.canary import BUCKETS, bucket
from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.name import check_name, is_name
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.exceptions import InvalidInput, MalformedDocument, UnknownSchema

CONTRACT = Path(__file__).parents[1] / "contract"
KEY = "chefconsul/demo/web/desired"
ERRORS = {"malformed": MalformedDocument, "unknown_schema": UnknownSchema}


def load(name: str) -> Any:
    """Read one file of the contract."""
    return json.loads((CONTRACT / name).read_text(encoding="utf-8"))


def cases(name: str) -> list[Any]:
    """The entries of one file as test parameters, called by their reason."""
    entries = load(name)
    reasons = [entry["why"] for entry in entries]
    assert len(set(reasons)) == len(entries) > 0, f"{name}: each entry needs a reason of its own"
    return [pytest.param(entry, id=entry["why"]) for entry in entries]


def typed_json(fields: object) -> str:
    """A text that differs where Python's == does not: true, 1 and 1.0."""
    return json.dumps(fields, sort_keys=True)


@pytest.mark.parametrize("case", cases("desired_valid.json"))
def test_desired_valid(case: dict[str, Any]) -> None:
    """A valid desired state is read, and each node gets the assignment that the contract states."""
    desired = DesiredState.from_json(KEY, json.dumps(case["document"]))
    assert case["assignments"]
    for node, expected in case["assignments"].items():
        assert typed_json(desired.assignment_for(node).to_fields()) == typed_json(expected), node


@pytest.mark.parametrize("case", cases("desired_valid.json"))
def test_desired_round_trip(case: dict[str, Any]) -> None:
    """What Python writes of a desired state reads back as the same one."""
    desired = DesiredState.from_json(KEY, json.dumps(case["document"]))
    assert DesiredState.from_json(KEY, desired.to_json()) == desired


@pytest.mark.parametrize("case", cases("desired_malformed.json"))
def test_desired_malformed(case: dict[str, Any]) -> None:
    """A malformed desired state is refused by an error that names the key and what is wrong."""
    assert_refused(DesiredState, case)


@pytest.mark.parametrize("case", cases("report_valid.json"))
def test_report_valid(case: dict[str, Any]) -> None:
    """A valid report is read, and its convergence on an assignment is what the contract states."""
    report = NodeReport.from_json(KEY, json.dumps(case["document"]))
    assert report.has_converged_on(Assignment(**case["assignment"])) is case["has_converged"]
    for field in ("node", "tier", "generation", "state", "status", "run_id", "started_at"):
        assert getattr(report, field) == case["document"][field]


@pytest.mark.parametrize("case", cases("report_valid.json"))
def test_report_round_trip(case: dict[str, Any]) -> None:
    """What Python writes of a report reads back as the same one."""
    report = NodeReport.from_json(KEY, json.dumps(case["document"]))
    assert NodeReport.from_json(KEY, report.to_json()) == report


@pytest.mark.parametrize("case", cases("report_malformed.json"))
def test_report_malformed(case: dict[str, Any]) -> None:
    """A malformed report is refused by an error that names the key and what is wrong."""
    assert_refused(NodeReport, case)


def assert_refused(kind: type[DesiredState | NodeReport], case: dict[str, Any]) -> None:
    """Reading the entry's text fails in the way that the entry states."""
    for raw in (case["raw"], case["raw"].encode()):
        with pytest.raises(MalformedDocument) as caught:
            kind.from_json(KEY, raw)
        assert type(caught.value) is ERRORS[case["error"]]
        assert case["says"] in str(caught.value)
        assert KEY in str(caught.value)


@pytest.mark.parametrize("kind", [DesiredState, NodeReport])
@pytest.mark.parametrize("raw", [None, b"\xff{}", "[" * 100_000, "9" * 10_000], ids=["none", "bytes", "deep", "long"])
def test_what_parsers_choke_on(kind: type[DesiredState | NodeReport], raw: str | bytes | None) -> None:
    """A value that upsets Python's parser in its own ways is malformed like any other."""
    with pytest.raises(MalformedDocument, match="not JSON"):
        kind.from_json(KEY, raw)


@pytest.mark.parametrize("case", load("buckets.json"), ids=lambda case: f"{case['salt']}:{case['node'][:30]}")
def test_bucket(case: dict[str, Any]) -> None:
    """A node's bucket is the number that the contract states."""
    assert bucket(case["salt"], case["node"]) == case["bucket"]
    assert 0 <= case["bucket"] < BUCKETS


@pytest.mark.parametrize("name", load("names.json")["valid"])
def test_valid_name(name: str) -> None:
    """A valid name is a name."""
    assert is_name(name)
    assert check_name("node", name) == name


@pytest.mark.parametrize("name", load("names.json")["invalid"])
def test_invalid_name(name: str) -> None:
    """An invalid name is refused by an error that shows it."""
    assert not is_name(name)
    with pytest.raises(InvalidInput) as caught:
        check_name("node", name)
    assert repr(name) in str(caught.value)
