"""ApprovalTrigger: it keeps the lease of its Dag run until there is an answer."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest.mock import create_autospec
from uuid import uuid4

import pytest
from airflow.providers.standard.triggers import hitl

from airflow_provider_chefconsul.domain.model.desired import Aborted
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.triggers.approval import ApprovalTrigger
from tests.support.factory import make_assignment, make_canary, make_desired, make_lease, make_writer

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


@pytest.mark.parametrize("is_aborted", [True, False], ids=["aborted", "promoted"])
def test_rollout_that_somebody_ends(consul_kv, monkeypatch, is_aborted):
    """There is nothing left to answer; a canary that only widens leaves the question open."""
    consul_kv["demo/web/desired"] = make_desired(8, stable=make_assignment(7), canary=make_canary(8)).to_json()
    unanswered = SimpleNamespace(response_received=False, chosen_options=None)
    asked = create_autospec(hitl.get_hitl_detail_content_detail, return_value=unanswered)
    monkeypatch.setattr(hitl, "get_hitl_detail_content_detail", asked)
    ended = make_desired(8, stable=make_canary(8).assignment)
    if is_aborted:
        ended = make_desired(8, stable=make_assignment(7), aborted=Aborted("d", "r", 8, make_writer(), "errors"))

    async def wait():
        trigger = make_trigger(rollout=("web", 8))
        async with asyncio.timeout(60), aclosing(trigger.run()) as events:
            coming = asyncio.ensure_future(anext(events))
            await asyncio.wait({coming}, timeout=0.3)
            wider = make_canary(8, nodes=("web-1", "web-2"))
            consul_kv["demo/web/desired"] = make_desired(8, stable=make_assignment(7), canary=wider).to_json()
            await asyncio.wait({coming}, timeout=0.3)
            assert not coming.done()
            consul_kv["demo/web/desired"] = ended.to_json()
            return (await coming).payload

    payload = asyncio.run(wait())
    assert payload["is_promoted"] is not is_aborted
    by = "Dag shop_rollout, run manual__1, task web.set"
    if is_aborted:
        assert payload["reason"] == f"the rollout of generation 8 was aborted by {by}: errors"
    else:
        assert payload["reason"] == f"generation 8 was promoted by {by} at 2026-11-22T08:00:00Z"


def test_round_trip():
    """What is stored makes the same trigger."""
    path, kwargs = make_trigger(rollout=("web", 8)).serialize()
    assert path == "airflow_provider_chefconsul.triggers.approval.ApprovalTrigger"
    assert ApprovalTrigger(**kwargs).serialize() == (path, kwargs)
