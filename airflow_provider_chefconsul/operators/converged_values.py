"""Reading what has proved good in one environment, for another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.parameter import check_tier_path, is_literal
from airflow_provider_chefconsul.exceptions import InvalidInput, ValuesNotGood
from airflow_provider_chefconsul.hooks.consul import ConsulHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_chefconsul.domain.model.values import Scalar
    from airflow_provider_chefconsul.domain.verdict.good import Good, NotGood


class ReadConvergedValuesOperator(BaseOperator):
    """
    Reads the values on which all of a tier has converged, for ``values`` of another environment's tasks.

    Fails when they are not good there: a canary is out, the tier is in another state, no wait has found that all of it
    converged on what it is assigned now, or not ``min_age`` ago. Retries wait until they are.

    Returns the values. A later task of the same Dag run gets the same ones, also when it is retried or cleared,
    whatever has become of the first environment since; clear this task, too, to read anew.

    :param environment: the environment in which they have proved good (templated).
    :param tier: the tier (templated).
    :param state: the state that the tier must be in (templated).
    :param min_age: how long ago it must have converged.
    :param consul_conn_id: id of a connection of type ``consul`` to that environment's Consul (templated).
    """

    template_fields: Sequence[str] = ("environment", "tier", "state", "consul_conn_id")
    ui_color = "#dcefe3"

    def __init__(
        self,
        *,
        environment: str,
        tier: str,
        state: str = "converged",
        min_age: timedelta = timedelta(0),
        consul_conn_id: str = ConsulHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_tier_path(environment, tier)
        if is_literal(state):
            check_name("state", state)
        if not isinstance(min_age, timedelta) or min_age < timedelta(0):
            raise InvalidInput(f"min_age must be a timedelta of zero or more, not {min_age!r}")
        self.environment = environment
        self.tier = tier
        self.state = state
        self.min_age = min_age
        self.consul_conn_id = consul_conn_id

    def execute(self, context: Context) -> dict[str, Scalar]:  # noqa: ARG002 Airflow's call
        """Read and judge.

        :raises ValuesNotGood: says why they are not good.
        """
        from airflow_provider_chefconsul.domain.verdict.good import NotGood

        check_name("environment", self.environment)
        check_name("tier", self.tier)
        found = asyncio.run(self._judge())
        tier_path = f"{self.environment}/{self.tier}"
        if isinstance(found, NotGood):
            raise ValuesNotGood(f"{tier_path}: not good: {found.reason}")
        since = found.since.isoformat(timespec="seconds")
        self.log.info("%s: good since %s: %s", tier_path, since, found.assignment.describe())
        return dict(found.assignment.values)

    async def _judge(self) -> Good | NotGood:
        from airflow_provider_chefconsul.consul.journal import read_journal
        from airflow_provider_chefconsul.domain.verdict.good import judge_good

        async with ConsulHook(self.consul_conn_id).open_view() as view:
            journal = await read_journal(view, self.environment)
            record = await view.read(self.environment, self.tier)
        return judge_good(
            record.desired, journal, self.tier, state=self.state, min_age=self.min_age, now=datetime.now(UTC)
        )
