"""The Python side of tests/contract, which the cookbook's specs also read."""

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
    """The entries of one file as test parameters, with their reason as id."""
    entries = load(name)
    reasons = [entry["why"] for entry in entries]
    assert len(set(reasons)) == len(entries) > 0, f"{name}: each entry needs a reason of its own"
    return [pytest.param(entry, id=entry["why"]) for entry in entries]


def typed_json(fields: object) -> str:
    """A text that tells apart true, 1 and 1.0, which are equal in Python."""
    return json.dumps(fields, sort_keys=True)


@pytest.mark.parametrize("case", cases("desired_valid.json"))
def test_desired_valid(case: dict[str, Any]) -> None:
    """A valid desired state is read, and each node gets the assignment in the contract."""
    desired = DesiredState.from_json(KEY, json.dumps(case["document"]))
    assert case["assignments"]
    for node, expected in case["assignments"].items():
        assert typed_json(desired.assignment_for(node).to_fields()) == typed_json(expected), node


@pytest.mark.parametrize("case", cases("desired_valid.json"))
def test_desired_round_trip(case: dict[str, Any]) -> None:
    """A desired state that Python writes reads back as the same."""
    desired = DesiredState.from_json(KEY, json.dumps(case["document"]))
    assert DesiredState.from_json(KEY, desired.to_json()) == desired


@pytest.mark.parametrize("case", cases("desired_malformed.json"))
def test_desired_malformed(case: dict[str, Any]) -> None:
    """A malformed desired state is refused with an error that names the key and the problem."""
    assert_refused(DesiredState, case)


@pytest.mark.parametrize("case", cases("report_valid.json"))
def test_report_valid(case: dict[str, Any]) -> None:
    """A valid report is read, and converges on an assignment exactly if the contract says so."""
    report = NodeReport.from_json(KEY, json.dumps(case["document"]))
    assert report.has_converged_on(Assignment(**case["assignment"])) is case["has_converged"]
    for field in ("node", "tier", "generation", "state", "status", "run_id", "started_at"):
        assert getattr(report, field) == case["document"][field]


@pytest.mark.parametrize("case", cases("report_valid.json"))
def test_report_round_trip(case: dict[str, Any]) -> None:
    """A report that Python writes reads back as the same."""
    report = NodeReport.from_json(KEY, json.dumps(case["document"]))
    assert NodeReport.from_json(KEY, report.to_json()) == report


@pytest.mark.parametrize("case", cases("report_malformed.json"))
def test_report_malformed(case: dict[str, Any]) -> None:
    """A malformed report is refused with an error that names the key and the problem."""
    assert_refused(NodeReport, case)


def assert_refused(kind: type[DesiredState | NodeReport], case: dict[str, Any]) -> None:
    """Reading the entry's text raises the error that the entry specifies."""
    for raw in (case["raw"], case["raw"].encode()):
        with pytest.raises(MalformedDocument) as caught:
            kind.from_json(KEY, raw)
        assert type(caught.value) is ERRORS[case["error"]]
        assert case["says"] in str(caught.value)
        assert KEY in str(caught.value)


@pytest.mark.parametrize("kind", [DesiredState, NodeReport])
@pytest.mark.parametrize("raw", [None, b"\xff{}", "[" * 100_000, "9" * 10_000], ids=["none", "bytes", "deep", "long"])
def test_text_that_breaks_the_parser_is_malformed(
    kind: type[DesiredState | NodeReport], raw: str | bytes | None
) -> None:
    """Whatever exception Python's parser raises for it."""
    with pytest.raises(MalformedDocument, match="not JSON"):
        kind.from_json(KEY, raw)


@pytest.mark.parametrize("case", load("buckets.json"), ids=lambda case: f"{case['salt']}:{case['node'][:30]}")
def test_bucket(case: dict[str, Any]) -> None:
    """A node has the bucket in the contract."""
    assert bucket(case["salt"], case["node"]) == case["bucket"]
    assert 0 <= case["bucket"] < BUCKETS


@pytest.mark.parametrize("name", load("names.json")["valid"])
def test_valid_name(name: str) -> None:
    """A valid name is accepted."""
    assert is_name(name)
    assert check_name("node", name) == name


@pytest.mark.parametrize("name", load("names.json")["invalid"])
def test_invalid_name(name: str) -> None:
    """An invalid name is refused with an error that shows it."""
    assert not is_name(name)
    with pytest.raises(InvalidInput) as caught:
        check_name("node", name)
    assert repr(name) in str(caught.value)
