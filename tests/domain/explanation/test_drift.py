"""The text of an audit."""

from __future__ import annotations

from airflow_provider_chefconsul.domain.explanation.drift import explain_drift
from airflow_provider_chefconsul.domain.model.report import Mended
from airflow_provider_chefconsul.domain.verdict.drift import find_drift
from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status
from tests.support.factory import NOW, make_failure, make_report, make_snapshot


def test_each_node_is_explained():
    """Why it does not match, and what to do; converged nodes are not listed."""
    reports = [make_report("web-1"), make_failure("web-2"), make_report("gone-1"), make_report("WEB-3")]
    status = tier_status(make_snapshot(*reports, members=("web-1", "web-2", "web-3")))
    lines = explain_drift(status, find_drift(status), now=NOW, early_failures={})
    assert sorted(lines) == ["WEB-3", "gone-1", "web-2", "web-3"]
    assert "ENOSPC" in lines["web-2"]
    assert lines["web-2"].endswith(
        "; fix the node, then run chef-client on it, or clear the task that failed in Airflow"
    )
    assert lines["gone-1"].startswith("has a report and is no member; bring it back")
    assert "is no member, most likely the same machine as web-3; bring it back" in lines["WEB-3"]
    assert "WEB-3 has, which is no member: most likely the same machine under another name" in lines["web-3"]


def test_drift_that_was_mended_today_is_told():
    """Though the node matches: something changes it, again and again. What was mended on another day is past."""
    today, earlier = Mended(f"{NOW:%Y-%m-%d}", 2, 4), Mended("2026-01-01", 1, 1)
    reports = [make_report("web-1", mended=today), make_report("web-2", mended=earlier), make_report("web-3")]
    status = tier_status(make_snapshot(*reports, members=("web-1", "web-2", "web-3")))
    drift = find_drift(status)
    lines = explain_drift(status, drift, now=NOW, early_failures={})
    assert list(lines) == ["web-1"]
    assert lines["web-1"].endswith("; 4 resources mended in 2 runs today; find out what changes it")
    assert not drift.drifted
