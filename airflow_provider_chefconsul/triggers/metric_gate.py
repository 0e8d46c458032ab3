"""Measuring a metric until a gate has passed or failed, in a worker or in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.triggers.base import TriggerEvent

from airflow_provider_chefconsul.domain.gate.analysis import Analysis, GateFailed
from airflow_provider_chefconsul.domain.gate.condition import MetricCondition
from airflow_provider_chefconsul.domain.gate.measurement import Measurement
from airflow_provider_chefconsul.exceptions import ChefConsulError, PrometheusUnavailable, QueryRejected
from airflow_provider_chefconsul.triggers.event_payload import describe_error, read_event
from airflow_provider_chefconsul.triggers.steered import SteeredTrigger

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView
    from airflow_provider_chefconsul.prometheus import Prometheus, PrometheusSettings

ERROR_RETRY = timedelta(seconds=10)
"""How long after an error Prometheus is asked again, unless the interval is shorter."""


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """How a gate ended.

    :param failure: why it failed, for good; empty when it passed.
    :param error: why the metric could not be measured, which a retry may find mended.
    :param promoted: who promoted the rollout meanwhile, so that there was nothing left to measure; empty when nobody.
    """

    measurements: tuple[Measurement, ...] = ()
    failure: str = ""
    error: str = ""
    promoted: str = ""

    def to_fields(self) -> dict[str, Any]:
        """The JSON form."""
        measured = [each.to_fields() for each in self.measurements]
        return {"measurements": measured, "failure": self.failure, "error": self.error, "promoted": self.promoted}

    @classmethod
    def from_event(cls, event: Any) -> GateOutcome:
        """Read an event that came back through the database.

        :raises ChefConsulError: it is not the outcome of a gate.
        """
        return read_event(
            event,
            "the outcome of a gate",
            lambda fields: cls(
                tuple(map(Measurement.from_fields, fields["measurements"])),
                fields["failure"],
                fields["error"],
                fields.get("promoted", ""),
            ),
        )


class MetricGateTrigger(SteeredTrigger[GateOutcome]):
    """
    Measures a metric until its analysis has come to an end.

    It stores when it began. Each measurement is taken for the moment when it is due, which Prometheus remembers: a
    trigger that is started again asks for those that were taken before as of then, and goes on.

    Parameters are those of ``SteeredTrigger``, and:

    :param prometheus_conn_id: id of a connection of type ``http``.
    :param condition: as authors write it.
    :param analysis: the JSON form of an :class:`Analysis`.
    :param begun_at: ISO 8601 with offset.
    :param consecutive_error_limit: how many times in a row Prometheus may fail to answer.
    :param timeout: how many seconds a request may take.
    """

    def __init__(
        self,
        *,
        prometheus_conn_id: str,
        query: str,
        condition: str,
        analysis: Mapping[str, Any],
        begun_at: str,
        consecutive_error_limit: int,
        timeout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prometheus_conn_id = prometheus_conn_id
        self.query = query
        self.condition = MetricCondition.parse(condition)
        self.analysis = Analysis.from_fields(analysis)
        self.begun_at = datetime.fromisoformat(begun_at)
        self.consecutive_error_limit = consecutive_error_limit
        self.timeout = timedelta(seconds=timeout)
        # The moments are fixed, so only the errors before the last measurement can make it late.
        self.deadline = self.last_due + (consecutive_error_limit + 1) * (ERROR_RETRY + self.timeout)

    @property
    def last_due(self) -> datetime:
        """When the last measurement is to be taken."""
        return self.analysis.due(self.analysis.count, self.begun_at)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of this class, and its parameters as JSON values."""
        path, kwargs = super().serialize()
        own = {
            "prometheus_conn_id": self.prometheus_conn_id,
            "query": self.query,
            "condition": str(self.condition),
            "analysis": self.analysis.to_fields(),
            "begun_at": self.begun_at.isoformat(),
            "consecutive_error_limit": self.consecutive_error_limit,
            "timeout": self.timeout.total_seconds(),
        }
        return path, {**kwargs, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Measure, and send the JSON form of the :class:`GateOutcome`."""
        outcome = await self.wait()
        assert outcome is not None  # without a limit of its own, it ends with an outcome
        yield TriggerEvent(outcome.to_fields())

    async def wait(self, *, until: datetime | None = None, view: SharedView | None = None) -> GateOutcome | None:
        """Measure until there is an outcome, or somebody has ended the rollout.

        :returns: the outcome; None when ``until`` came first.
        """
        from airflow_provider_chefconsul.domain.write.steering import RolloutEnd
        from airflow_provider_chefconsul.prometheus import open_prometheus

        try:
            settings = await read_prometheus_settings(self.prometheus_conn_id)
            async with self._holding_view(view) as opened, open_prometheus(settings, self.timeout) as prometheus:
                async with asyncio.timeout(None if until is None else (until - datetime.now(UTC)).total_seconds()):
                    ended = await self._unless_ended(opened, self._measure_all(prometheus))
        except TimeoutError:
            return None
        except QueryRejected as error:
            return GateOutcome(failure=str(error))
        except ChefConsulError as error:
            return GateOutcome(error=describe_error(error))
        match ended:
            case RolloutEnd(is_promoted=True, reason=reason):
                return GateOutcome(promoted=reason)
            case RolloutEnd(reason=reason):
                return GateOutcome(failure=reason)
        return ended

    async def _measure_all(self, prometheus: Prometheus) -> GateOutcome:
        measured: list[Measurement] = []
        while (ended := self.analysis.judge(measured)) is None:
            number = len(measured) + 1
            due = self.analysis.due(number, self.begun_at)
            await asyncio.sleep((due - datetime.now(UTC)).total_seconds())
            values = await self._read_values(prometheus, due)
            measured.append(Measurement.assess(self.condition, due, values))
            self.log.info("measurement %d of %d, as of %s", number, self.analysis.count, measured[-1])
        return GateOutcome(tuple(measured), ended.reason if isinstance(ended, GateFailed) else "")

    async def _read_values(self, prometheus: Prometheus, at: datetime) -> list[str]:
        errors = 0
        while True:
            try:
                return await prometheus.read_values(self.query, at)
            except PrometheusUnavailable as error:
                errors += 1
                if errors > self.consecutive_error_limit:
                    raise
                self.log.warning("not measured (consecutive_error_limit=%d): %s", self.consecutive_error_limit, error)
                await asyncio.sleep(min(ERROR_RETRY, self.analysis.interval).total_seconds())


async def read_prometheus_settings(conn_id: str) -> PrometheusSettings:
    """Read an Airflow connection.

    :raises UnusableConnection: names the connection and the field that is missing or wrong.
    """
    from airflow_provider_chefconsul.prometheus import parse_prometheus

    connection = await BaseHook.aget_connection(conn_id)
    return parse_prometheus(
        f"connection {conn_id}",
        host=connection.host,
        port=connection.port,
        schema=connection.schema,
        login=connection.login,
        password=connection.password,
        extra=connection.extra,
    )
