"""LeaseTrigger: waiting for an environment in the triggerer."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.triggers.lease import LeaseTrigger, read_is_held
from tests.support.airflow_home import run_trigger
from tests.support.factory import NOW, make_lease

KEY = "demo/_lease"
OTHER = make_lease(holder=DagRun("other_rollout", "manual__9"))


def make_trigger(**overrides: Any) -> LeaseTrigger:
    """A trigger of the Dag run of :func:`make_lease`, with time enough."""
    defaults = {
        "consul_conn_id": "consul_default",
        "environment": "demo",
        "holder": {"dag_id": "shop_rollout", "run_id": "manual__1"},
        "ttl": 60.0,
        "reason": "upgrade to 2.5.0",
        "deadline": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
    }
    return LeaseTrigger(**defaults | overrides)


def holder_of(keys) -> str:
    """The Dag that holds the environment."""
    return json.loads(keys[KEY])["holder"]["dag_id"]


def test_round_trip():
    """The stored form is JSON, names the class, and makes an equal trigger."""
    path, kwargs = make_trigger().serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(json.dumps(kwargs)))
    assert type(again) is LeaseTrigger
    assert again.serialize() == (path, kwargs)


async def test_takes_the_lease_when_it_is_given_up(consul_connection, consul_kv):
    """By a blocking query: the moment that the key is deleted, not at the end of a ttl."""
    consul_kv[KEY] = make_lease(holder=OTHER.holder, ttl=timedelta(hours=1)).to_json()
    waiting = asyncio.create_task(run_trigger(make_trigger()))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    del consul_kv[KEY]
    assert await waiting == {"is_held": True, "error": "", "has_taken_over": False}
    assert holder_of(consul_kv) == "shop_rollout"


async def test_says_once_for_whom_it_waits(consul_connection, consul_kv, capsys):
    """Its holder's renewals are no news."""
    consul_kv[KEY] = OTHER.to_json()
    waiting = asyncio.create_task(run_trigger(make_trigger()))
    for minute in range(3):
        await asyncio.sleep(0.1)
        consul_kv[KEY] = OTHER.renew(now=NOW + timedelta(minutes=minute)).to_json()
    del consul_kv[KEY]
    assert await waiting == {"is_held": True, "error": "", "has_taken_over": False}
    assert capsys.readouterr().out.count("demo: waiting, held by Dag other_rollout") == 1


async def test_started_again_it_finds_its_own_lease(consul_connection, consul_kv):
    """A triggerer that died after it took the lease leaves it to its Dag run; the next one goes on."""
    trigger = make_trigger()
    for _ in range(2):
        assert await run_trigger(trigger) == {"is_held": True, "error": "", "has_taken_over": False}
    assert holder_of(consul_kv) == "shop_rollout"


async def test_cancelled_while_it_waits_it_takes_nothing(consul_connection, consul_kv):
    """The lease stays with who has it, and when that one gives it up, nobody takes it."""
    consul_kv[KEY] = OTHER.to_json()
    waiting = asyncio.create_task(run_trigger(make_trigger()))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert holder_of(consul_kv) == "other_rollout"
    del consul_kv[KEY]
    assert dict(consul_kv) == {}


async def test_deadline_that_has_passed(consul_connection, consul_kv):
    """However late it is resumed, it looks once: a free environment is taken, a held one is not waited for."""
    late = make_trigger(deadline="2026-11-22T08:00:00+00:00")
    consul_kv[KEY] = OTHER.to_json()
    assert await run_trigger(late) == {"is_held": False, "error": "", "has_taken_over": False}
    del consul_kv[KEY]
    assert await run_trigger(late) == {"is_held": True, "error": "", "has_taken_over": False}


async def test_error_is_sent_and_raised_by_the_task(consul_connection, consul_kv):
    """With its kind and its words."""
    consul_kv[KEY] = "{"
    event = await run_trigger(make_trigger())
    assert event["is_held"] is False
    with pytest.raises(ChefConsulError, match="MalformedDocument: .*/demo/_lease: not JSON"):
        read_is_held(event)
