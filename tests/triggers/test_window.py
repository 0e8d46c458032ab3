"""WindowTrigger: waiting for a change window in the triggerer."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.exceptions import ChefConsulError
from airflow_provider_chefconsul.triggers import window
from airflow_provider_chefconsul.triggers.hold import check_is_over
from airflow_provider_chefconsul.triggers.window import WindowTrigger
from tests.support.airflow_home import connect, run_trigger
from tests.support.clock import set_clock
from tests.support.factory import make_lease
from tests.support.waiting import wait_until

OVER = {"is_over": True, "error": ""}
SUNDAY, OPEN = "2026-11-29T12:00:00+01:00", "2026-11-30T09:00:00+01:00"
A_MOMENT = 0.3
pytestmark = pytest.mark.usefixtures("consul_connection")


def make_trigger(**overrides: Any) -> WindowTrigger:
    """Waits for working hours in Berlin, for the Dag run of :func:`make_lease`."""
    defaults = {
        "consul_conn_id": "consul_default",
        "environment": "demo",
        "holder": {"dag_id": "shop_rollout", "run_id": "manual__1"},
        "window": ChangeWindow("Mon-Thu 09:00-16:00", timezone="Europe/Berlin").to_fields(),
    }
    return WindowTrigger(**defaults | overrides)


async def test_open_window_is_not_waited_for(monkeypatch):
    """Until its last minute."""
    set_clock(monkeypatch, "2026-11-30T15:59:30+01:00")
    assert await run_trigger(make_trigger()) == OVER


async def test_waits_for_the_opening(monkeypatch):
    """It fires when the window opens, not before."""
    set_clock(monkeypatch, "2026-11-30T08:59:59+01:00")
    assert await run_trigger(make_trigger()) == OVER
    assert window.current_time() >= datetime.fromisoformat("2026-11-30T09:00:00+01:00")


async def test_clock_that_is_set_is_looked_at_again(monkeypatch):
    """A machine that slept over the opening, or whose clock was wrong, does not sleep on by its old reckoning."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.window._LOOK", 0.05)
    set_clock(monkeypatch, SUNDAY)
    waiting = asyncio.create_task(run_trigger(make_trigger()))
    await asyncio.sleep(A_MOMENT)
    set_clock(monkeypatch, OPEN)
    assert await waiting == OVER


async def test_started_again_too_late_it_waits_for_the_next_opening(monkeypatch):
    """A triggerer that was away while the window was open does not send the task to look at a closed one."""
    set_clock(monkeypatch, "2026-11-30T16:00:00+01:00")
    waiting = asyncio.create_task(run_trigger(make_trigger()))
    await asyncio.sleep(A_MOMENT)
    assert not waiting.done()
    waiting.cancel()


async def test_comes_back_when_a_worker_has_waited_enough(monkeypatch):
    """Without a result; asked again, it goes on."""
    set_clock(monkeypatch, SUNDAY)
    trigger = make_trigger()
    assert await trigger.wait(until=datetime.now(UTC)) is None
    set_clock(monkeypatch, OPEN)
    assert await trigger.wait(until=datetime.now(UTC)) is True


async def test_lease_of_the_dag_run_is_renewed(monkeypatch, consul_kv):
    """Also over a night, which is longer than its ttl."""
    consul_kv["demo/_lease"] = make_lease().to_json()
    set_clock(monkeypatch, SUNDAY)
    waiting = asyncio.create_task(run_trigger(make_trigger()))
    await asyncio.to_thread(
        wait_until, lambda: json.loads(consul_kv["demo/_lease"])["expires_at"] > make_lease().expires_at
    )
    waiting.cancel()


async def test_nothing_is_written_without_a_lease(monkeypatch, consul_kv):
    """Another Dag run may take it meanwhile."""
    set_clock(monkeypatch, SUNDAY)
    waiting = asyncio.create_task(run_trigger(make_trigger()))
    await asyncio.sleep(A_MOMENT)
    assert dict(consul_kv) == {}
    assert not waiting.done()
    waiting.cancel()


async def test_error_is_sent_and_raised_by_the_task(monkeypatch):
    """With its kind and its words."""
    connect(monkeypatch, 8500, connection_id="wrong", schema="ftp")
    event = await run_trigger(make_trigger(consul_conn_id="wrong"))
    assert event["is_over"] is False
    with pytest.raises(ChefConsulError, match="UnusableConnection: .*ftp"):
        check_is_over(event)


@pytest.mark.parametrize("event", [None, {}, {"is_over": True}, "open"])
def test_event_is_validated_on_resume(event):
    """What comes out of the database is not trusted to be an answer."""
    with pytest.raises(ChefConsulError, match="the trigger's event is not the end of a hold"):
        check_is_over(event)
