"""What is said of an audit: which nodes drifted, why, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from airflow_provider_chefconsul.domain.explanation.node import describe_mended, explain_nodes
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.name import twins
from airflow_provider_chefconsul.domain.verdict.drift import TierDrift
from airflow_provider_chefconsul.domain.verdict.tier_status import TierStatus


def explain_drift(
    status: TierStatus, drift: TierDrift, *, now: datetime, early_failures: Mapping[str, EarlyFailure]
) -> dict[str, str]:
    """By node that drifted, why it does not match, and what to do; and by node whose drift was mended today, how much.

    :param early_failures: by node, runs that ended before they had read a tier.
    """
    members = [name for name, standing in drift.drifted.items() if standing is not None]
    lines = {}
    for name, node in explain_nodes(status, members, now=now, early_failures=early_failures).items():
        lines[name] = f"{node.text}; {node.action}" if node.action else node.text
    mended = [name for name, node in status.nodes.items() if name not in lines and describe_mended(node.report, now)]
    for name, node in explain_nodes(status, mended, now=now).items():
        lines[name] = f"{node.text}; find out what changes it"
    strangers = [name for name, standing in drift.drifted.items() if standing is None]
    same = twins(strangers, status.nodes)
    for name in strangers:
        is_same = f", most likely the same machine as {same[name]}" if name in same else ""
        lines[name] = f"has a report and is no member{is_same}; bring it back into the catalog, or delete its report"
    return lines
