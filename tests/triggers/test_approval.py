"""ApprovalTrigger: it keeps the lease of its Dag run until there is an answer."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest.mock import create_autospec
from uuid import uuid4

import pytest
from airflow.providers.standard.triggers import hitl

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.triggers.approval import ApprovalTrigger
from tests.support.factory import make_lease

pytestmark = pytest.mark.usefixtures("consul_connection")


def make_trigger(**overrides):
    """Waits for an answer to a question of :func:`make_lease`'s Dag run."""
    holder = {"dag_id": "shop_rollout", "run_id": "manual__1"}
    defaults = {
        "consul_conn_id": "consul_default",
        "environment": "demo",
        "holder": holder,
        "ti_id": uuid4(),
        "options": ["Approve", "Reject"],
        "params": {},
        "timeout_datetime": None,
        "poke_interval": 0.01,
    }
    return ApprovalTrigger(**defaults | overrides)


def test_lease_is_renewed_while_nobody_answers(consul_kv, monkeypatch):
    """The answer comes once the lease has been renewed; another Dag run's lease is left alone."""
    consul_kv["demo/_lease"] = make_lease().to_json()
    other = make_lease(holder=DagRun("other_rollout", "manual__9"))
    consul_kv["other/_lease"] = other.to_json()

    def look(ti_id):
        renewed = json.loads(consul_kv["demo/_lease"])["expires_at"] > make_lease().expires_at
        return SimpleNamespace(
            response_received=renewed,
            responded_at=datetime.now(UTC),
            chosen_options=["Approve"],
            params_input={},
            responded_by_user=None,
        )

    asked = create_autospec(hitl.get_hitl_detail_content_detail, side_effect=look)
    monkeypatch.setattr(hitl, "get_hitl_detail_content_detail", asked)

    async def wait(trigger):
        async with asyncio.timeout(60):
            return [event.payload async for event in trigger.run()]

    [answer] = asyncio.run(wait(make_trigger()))
    assert answer["chosen_options"] == ["Approve"]
    asyncio.run(wait(make_trigger(environment="other")))
    assert consul_kv["other/_lease"] == other.to_json()


def test_round_trip():
    """What is stored makes the same trigger."""
    path, kwargs = make_trigger().serialize()
    assert path == "airflow_provider_chefconsul.triggers.approval.ApprovalTrigger"
    assert ApprovalTrigger(**kwargs).serialize() == (path, kwargs)
