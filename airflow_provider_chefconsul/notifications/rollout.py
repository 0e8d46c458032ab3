"""Telling people what became of a task of a rollout, over whatever channel they use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from airflow_provider_chefconsul.domain.model.journal import JournalWave
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.exceptions import InvalidInput

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.triggers.outcome import Outcome

MESSAGE = """\
{{ rollout.tier_path }}{% if rollout.wave %}, {{ rollout.wave }}{% endif %}: {{ rollout.verdict }}\
{% if rollout.reason %}: {{ rollout.reason }}{% endif %}
{% for why, nodes in rollout.nodes.items() %}{{ why }}: {{ nodes | join(", ") }}
{% endfor %}Dag {{ ti.dag_id }}, run {{ ti.run_id }}, task {{ ti.task_id }}: {{ ti.log_url }}
"""


@dataclass(frozen=True, slots=True)
class RolloutSummary:
    """What a notification can say of a task: ``rollout`` in its templates.

    :param tier_path: the environment and the tiers: "demo/web".
    :param wave: such as "wave 2 of 3 (25%)"; empty outside a rollout in waves.
    :param verdict: of the task's wait: "converged", "failed", "timed_out" or "error"; without a wait, "failed" when the
        task failed, else "done".
    :param reason: why it failed; empty when it did not.
    :param nodes: by reason, the nodes that had not converged: ``{"failed": ["web-1"], "lost": ["web-7"]}``.
    """

    environment: str
    tier: str
    tier_path: str
    wave: str = ""
    verdict: str = "done"
    reason: str = ""
    nodes: Mapping[str, list[str]] = field(default_factory=dict)


class RolloutNotifier(BaseNotifier):
    """
    Says what became of a task that writes or waits: the tier, the wave, the verdict, and the nodes by reason.

    Use it as ``on_failure_callback``, ``on_success_callback`` or ``on_retry_callback`` of tasks, or in their
    ``default_args``. Templates have ``rollout``, a :class:`RolloutSummary`, beside what Airflow's templates have.

    :param send: where to: a function that takes the message, or another notifier, whose own templates then have
        ``rollout``, too, and the message as ``rollout_message``.
    :param message: the message (templated).
    """

    def __init__(self, send: Callable[[str], Any] | BaseNotifier, *, message: str = MESSAGE) -> None:
        super().__init__()
        if not callable(send):
            raise InvalidInput(f"send must be a function that takes the message, or a notifier, not {send!r}")
        self.send = send
        self.message = message

    def notify(self, context: Context) -> None:
        """Render the message, and hand it on."""
        known: Any = {**context, "rollout": summarize(context)}
        message = self.render_template(self.message, known, self.get_template_env(dag=context.get("dag")))
        if isinstance(self.send, BaseNotifier):
            # A notifier renders its own fields in place, so each notification needs a fresh one.
            copy(self.send)({**known, "rollout_message": message})
        else:
            self.send(message)


def summarize(context: Context) -> RolloutSummary:
    """What there is to tell of a task that has ended, or is to be retried."""
    task: Any = context["task"]
    environment, tiers = str(getattr(task, "environment", "")), _as_text(getattr(task, "tier", ""))
    outcome: Outcome | None = getattr(task, "outcome", None)
    exception = context.get("exception")
    verdict: dict[str, Any] = {"verdict": "done"}
    if outcome is not None:
        verdict = {"verdict": str(outcome.ending), "reason": outcome.reason, "nodes": _by_reason(outcome)}
    if exception is not None and (outcome is None or not outcome.reason):
        verdict = {**verdict, "verdict": "failed", "reason": str(exception)}
    return RolloutSummary(environment, tiers, f"{environment}/{tiers}", wave=_describe_wave(task), **verdict)


def _by_reason(outcome: Outcome) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for summary in outcome.tiers.values():
        for standing, nodes in summary["nodes"].items():
            found.setdefault(standing, []).extend(nodes)
    return found


def _describe_wave(task: Any) -> str:
    wave, canary = getattr(task, "wave", None), getattr(task, "canary", None)
    if not isinstance(wave, tuple):
        return ""
    size = "100%" if canary is None else str(Wave.parse(canary))
    return str(JournalWave(size, *wave))


def _as_text(tier: Any) -> str:
    return tier if isinstance(tier, str) else ", ".join(map(str, tier or ()))
