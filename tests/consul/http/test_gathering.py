"""Several requests at once."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_chefconsul.consul.http.gathering import gather_all


async def test_failure_ends_the_others_first():
    """No request is still running when the error is raised."""
    has_begun, has_ended = asyncio.Event(), asyncio.Event()

    async def go_on() -> None:
        has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # closing takes a moment
            has_ended.set()

    async def fail() -> None:
        await has_begun.wait()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await gather_all(asyncio.create_task(go_on()), asyncio.create_task(fail()))
    assert has_ended.is_set()


async def test_results_are_the_tasks_own():
    """Once done, each task has its result."""
    tasks = [asyncio.create_task(asyncio.sleep(0, result)) for result in "ab"]
    await gather_all(*tasks)
    assert [task.result() for task in tasks] == ["a", "b"]
