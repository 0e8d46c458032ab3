"""Imports what tasks and triggers use once, in processes that fork theirs.

The scheduler forks the LocalExecutor's workers, and they the tasks; the Dag processor forks for each Dag file that it
parses, the triggerer for its triggers. All three, and nothing else, have a Job when they start. What the parent has
imported its children need not import. Imports only define names: a thread or an event loop would not survive the fork,
and a socket would be shared.
"""

from __future__ import annotations

from importlib import import_module

from airflow.listeners import hookimpl

import airflow_provider_chefconsul as face

_USED_LATER = (
    f"{face.__name__}.consul.wait",
    f"{face.__name__}.consul.write",
    f"{face.__name__}.consul.http.connection",
    f"{face.__name__}.domain.event.change_event",
    f"{face.__name__}.domain.event.convergence_event",
    f"{face.__name__}.domain.explanation.drift",
    f"{face.__name__}.domain.explanation.tier",
    f"{face.__name__}.nudge.remote_exec",
    f"{face.__name__}.consul.verdict_journal",
    f"{face.__name__}.triggers.frozen",
    f"{face.__name__}.triggers.lease",
    f"{face.__name__}.triggers.metrics",
    f"{face.__name__}.triggers.remote_exec",
    f"{face.__name__}.triggers.transition",
    "anyio._backends._asyncio",  # httpx imports it with its first request, a quarter of what is saved
)
"""What operators and triggers import when they run; each brings what it rests on. SSH is left to those who use it."""


@hookimpl
def on_starting(component: object) -> None:
    """Preload when a component starts; Airflow calls this in the process of a task, too, which needs no more."""
    if type(component).__module__ == "airflow.jobs.job":  # to import that would cost a task more than it saves
        preload()


def preload() -> None:
    """Import the public names, and what is behind a transition."""
    for name in face.__all__:
        getattr(face, name)
    for module in _USED_LATER:
        import_module(module)
