"""Auditing environments: whether all nodes still match what they were assigned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.domain.count import Count
from airflow_provider_chefconsul.domain.model.membership import parse_members
from airflow_provider_chefconsul.domain.model.name import check_name, check_tiers
from airflow_provider_chefconsul.domain.text import cut_lines
from airflow_provider_chefconsul.exceptions import Drifted, InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.run_ends import find_run_ends
from airflow_provider_chefconsul.triggers.stoppable import Stoppable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.domain.explanation.tier import TierExplanation
    from airflow_provider_chefconsul.domain.verdict.drift import TierDrift

_LINES = 200  # of a tier, that name a node in the task's log


@dataclass(frozen=True, slots=True)
class _AuditedTier:
    """What was found of a tier, and what there is to say of it.

    :param lines: by node that drifted, why it does not match.
    """

    drift: TierDrift
    explanation: TierExplanation
    lines: Mapping[str, str]

    @property
    def unknown(self) -> str:
        """Why nobody can say whether the tier matches; empty when one can."""
        return f"{self.explanation.headline}; {self.explanation.obstacles[0]}" if self.drift.is_unknown else ""

    def to_fields(self) -> dict[str, Any]:
        """A summary for the XCom."""
        drifted = {name: str(standing or "no_member") for name, standing in self.drift.drifted.items()}
        return {
            "members": self.drift.members,
            "drifted": drifted,
            "unknown": self.unknown,
            "orphaned": self.explanation.orphaned,
        }


class DriftAuditOperator(Stoppable):
    """
    Finds nodes that do not match what they were assigned: not converged, absent, unreadable, or no members any more.

    Fails when a tier has more of them than ``max_drifted``, has no readable desired state or no members, and when there
    is nothing to audit: a green audit has looked at something and found it right. It changes nothing. A rollout in
    progress looks like drift, so give the task retries.

    Returns, also when it fails, ``{environment: {tier: {"members": …, "drifted": {node: standing}, "unknown": …,
    "orphaned": …}}}``. ``orphaned`` names a Dag run that ended and left its canary out. Nothing moves then, and the
    nodes match what they were assigned, so the audit says it and does not fail for it.

    :param environment: one, several, or None for all that the connection's prefix has (templated).
    :param tier: one, several, or None for all that the environments have (templated).
    :param max_drifted: how many nodes of a tier may drift: a number, or a percentage of its members.
    :param members: who belongs to the tiers; see ``ConvergedSensor`` (templated).
    :param consul_conn_id: id of a connection of type ``consul``.
    """

    template_fields: Sequence[str] = ("environment", "tier", "members")
    ui_color = "#f5ecd7"

    def __init__(
        self,
        *,
        environment: str | Sequence[str] | None = None,
        tier: str | Sequence[str] | None = None,
        max_drifted: int | str = 0,
        members: str | Sequence[str] = "service",
        consul_conn_id: str = ConsulHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.tier = tier
        self.max_drifted = Count.parse("max_drifted", max_drifted)
        self.members = members
        self.consul_conn_id = consul_conn_id

    def execute(self, context: Context) -> dict[str, dict[str, Any]]:
        """Audit, and fail when there is more drift than ``max_drifted``.

        :raises Drifted: names the tiers.
        :raises AccessDenied: the token may not read everything, so the rest would pass as audited. It is also raised
            when an older Consul cannot say what the token may read: name the tiers then.
        """
        from airflow_provider_chefconsul.triggers.metrics import measure_drift

        found = self.run_here(self._audit(context["ti"]))
        beyond = []
        for environment, tiers in found.items():
            measure_drift(environment, {tier: audited.drift for tier, audited in tiers.items()})
            for tier, audited in tiers.items():
                self._log(audited)
                drift = audited.drift
                if drift.exceeds(self.max_drifted):
                    count = audited.unknown or f"{len(drift.drifted)} of {drift.members} members"
                    beyond.append(f"{environment}/{tier} ({count})")
        summary = {
            environment: {tier: audited.to_fields() for tier, audited in tiers.items()}
            for environment, tiers in found.items()
        }
        if beyond:
            context["ti"].xcom_push("return_value", summary)
            raise Drifted(f"drift beyond max_drifted={self.max_drifted}: {', '.join(beyond)}; the log names the nodes")
        return summary

    async def _audit(self, instance: Any) -> dict[str, dict[str, _AuditedTier]]:
        from airflow_provider_chefconsul.consul.overview import list_environments, list_tiers
        from airflow_provider_chefconsul.consul.token_scope import check_token_sees_all

        async with ConsulHook(self.consul_conn_id).open_view() as view:
            if self.environment is None:
                await check_token_sees_all(view, f"{view.keys.root}/", must_be_known=True)
                environments = await list_environments(view)
            else:
                given = [self.environment] if isinstance(self.environment, str) else self.environment
                environments = [check_name("environment", environment) for environment in given]
            found = {}
            for environment in environments:
                if self.tier is None:
                    await check_token_sees_all(view, view.keys.environment(environment), must_be_known=True)
                    tiers = await list_tiers(view, environment)
                else:
                    tiers = check_tiers(environment, self.tier)
                    for tier in tiers:
                        await check_token_sees_all(view, view.keys.tier(environment, tier))
                if not tiers:
                    raise Drifted(f"nothing to audit: environment {environment} has no tiers")
                found[environment] = await self._audit_environment(view, environment, tiers, instance)
        if not found:
            raise InvalidInput(
                f"nothing to audit: there is no environment below {view.keys.root}/; check the connection's prefix"
            )
        return found

    async def _audit_environment(
        self, view: SharedView, environment: str, tiers: Sequence[str], instance: Any
    ) -> dict[str, _AuditedTier]:
        from airflow_provider_chefconsul.consul.orphan import find_orphans
        from airflow_provider_chefconsul.consul.overview import read_early_failures, read_lease
        from airflow_provider_chefconsul.domain.explanation.drift import explain_drift
        from airflow_provider_chefconsul.domain.explanation.tier import explain_tier
        from airflow_provider_chefconsul.domain.verdict.drift import find_drift
        from airflow_provider_chefconsul.domain.verdict.tier_status import tier_status

        lease, early_failures = await read_lease(view, environment), await read_early_failures(view, environment)
        statuses = {
            tier: tier_status(await view.snapshot(environment, tier, parse_members(self.members, tier)))
            for tier in tiers
        }
        desired = {tier: status.desired for tier, status in statuses.items()}
        orphans = await find_orphans(view, environment, desired, lease, partial(find_run_ends, instance))
        found, now = {}, datetime.now(UTC)
        for tier, status in statuses.items():
            drift = find_drift(status)
            lines = explain_drift(status, drift, now=now, early_failures=early_failures)
            explanation = explain_tier(environment, tier, status, now=now, lease=lease, orphan=orphans.get(tier))
            found[tier] = _AuditedTier(drift, explanation, lines)
        return found

    def _log(self, audited: _AuditedTier) -> None:
        self.log.info("%s", audited.explanation.headline)
        for obstacle in audited.explanation.obstacles:
            if obstacle != audited.explanation.orphaned:
                self.log.info("  %s", obstacle)
        if audited.explanation.orphaned:
            self.log.warning("  %s", audited.explanation.orphaned)
        for line in cut_lines([f"{node}: {line}" for node, line in audited.lines.items()], _LINES):
            self.log.warning("  %s", line)
