"""Nodes that are absent, lost or gone, on a real Consul: a Dag with a sensor for each row of the table."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_chefconsul.consul.catalog import EXTERNAL_HEALTH
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.sensors.converged import ConvergedSensor
from tests.support.airflow_home import pull_xcom
from tests.support.factory import make_desired, make_failure, make_report

LOOK = timedelta(seconds=1)


class Catalog:
    """Nodes without agents, each with a check that somebody else gives."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def register(self, node: str, tier: str, status: str = "passing") -> None:
        """Register a node with the tier's service, or give its check another status."""
        check = {"CheckID": EXTERNAL_HEALTH, "Name": "alive", "Status": status}
        self._put("register", {"Node": node, "Address": "127.0.0.1", "Service": {"Service": tier}, "Check": check})

    def deregister(self, node: str, **part: str) -> None:
        """Take a node out of the catalog, or a part of it."""
        self._put("deregister", {"Node": node, **part})

    def _put(self, verb: str, fields: dict[str, Any]) -> None:
        path, text = f"/v1/catalog/{verb}", json.dumps(fields)
        assert self._client.http.put(lambda answer: answer.code, path, data=text) == 200


@pytest.fixture
def catalog(plain_consul: Any) -> Catalog:
    """The catalog of the test's Consul."""
    return Catalog(plain_consul)


def die(catalog: Catalog, node: str, tier: str) -> None:
    """Its agent is no longer alive."""
    catalog.register(node, tier, "critical")


def lose_service(catalog: Catalog, node: str, tier: str) -> None:
    """Its service is no longer in the catalog."""
    catalog.deregister(node, ServiceID=tier)


def leave(catalog: Catalog, node: str, tier: str) -> None:
    """It is no longer in the catalog."""
    catalog.deregister(node)


DEFAULT = ConvergencePolicy()
Change = Callable[[Catalog, str, str], None]
REPORT = make_report()
REBOOTING, INTERRUPTED = (replace(REPORT, status=status) for status in (Status.REBOOTING, Status.INTERRUPTED))


@dataclass(frozen=True)
class Row:
    """A row of the table.

    :param report: what the node has reported; None is nothing.
    :param before: what has become of the node before the wait begins.
    :param after: what becomes of it once the wait has seen it.
    :param counts: where the tier's nodes stand when the wait succeeds.
    :param words: what the wait says when it fails.
    """

    report: NodeReport | None
    before: Change | None = None
    after: Change | None = None
    policy: ConvergencePolicy = DEFAULT
    counts: dict[str, int] | None = None
    words: str = ""


LENIENT = ConvergencePolicy(min_converged=1, max_lost="50%")
STRICT = ConvergencePolicy(max_absent=0)
FAILED = "1 of 2 members present failed ({node}); max_failed=0 is spent"
LOST = "1 of 2 members present are lost ({node}): their agents are no longer alive; max_lost=0"
ROWS = {
    "service-gone": Row(REPORT, before=lose_service, counts={"converged": 2}),
    "service-gone-silent": Row(None, after=lose_service, words="1 of 2 members present converged, 2 are needed"),
    "failed-dead": Row(make_failure(), before=die, words=FAILED),
    "failed-gone": Row(
        make_failure(), after=leave, policy=ConvergencePolicy(max_failed=1), words="1 of 2 members present"
    ),
    "rebooting-dead": Row(REBOOTING, before=die, words=LOST),
    "interrupted-gone": Row(INTERRUPTED, after=leave, words=LOST),
    "lenient": Row(REBOOTING, before=die, policy=LENIENT, counts={"converged": 1, "lost": 1}),
    "succeeded-dead": Row(REPORT, before=die, words=LOST),
    "seen-alive": Row(None, after=die, words=LOST),
    "absent": Row(None, before=die, counts={"converged": 1, "absent": 1}),
    "left": Row(None, after=leave, counts={"converged": 1, "left": 1}),
    "left-strict": Row(None, after=leave, policy=STRICT, words="1 of 2 members are absent or have left ({node})"),
}


class SensorThatIsSeen(ConvergedSensor):
    """Lets something happen between what it saw itself, and what its trigger sees."""

    def __init__(self, *, happens: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self.happens = happens

    def defer(self, *, trigger: Any, **options: Any) -> None:
        """Hand over, having seen the tier."""
        (wait,) = trigger.waits.values()
        while not wait.seen_members:  # a busy machine may take longer to look
            asyncio.run(trigger.wait(until=datetime.now(UTC) + LOOK))
            (wait,) = trigger.waits.values()
        self.happens()
        super().defer(trigger=trigger, **options)


@pytest.mark.usefixtures("consul_connection")
def test_each_row_of_the_table(run_dag, consul_kv, catalog, capsys, monkeypatch):
    """Evidence first, presence second: the state of each task, its XCom, and what its log says."""
    monkeypatch.setattr("airflow_provider_chefconsul.triggers.stoppable.PATIENCE", LOOK)
    with DAG("lost_and_left", schedule=None) as dag:
        for tier, row in ROWS.items():
            well, node = f"{tier}-1", f"{tier}-2"
            catalog.register(well, tier)
            catalog.register(node, tier)
            consul_kv[f"demo/{tier}/desired"] = make_desired(7).to_json()
            consul_kv[f"demo/{tier}/nodes/{well}"] = replace(REPORT, node=well, tier=tier).to_json()
            if row.report is not None:
                consul_kv[f"demo/{tier}/nodes/{node}"] = replace(row.report, node=node, tier=tier).to_json()
            if row.before is not None:
                row.before(catalog, node, tier)

            def happen(row: Row = row, node: str = node, tier: str = tier) -> None:
                if row.after is not None:
                    row.after(catalog, node, tier)

            SensorThatIsSeen(
                task_id=tier, environment="demo", tier=tier, deferrable=True, happens=happen,
                policy=replace(row.policy, timeout=2 * LOOK),
            )  # fmt: skip
    states = run_dag(dag)
    printed = capsys.readouterr().out
    for tier, row in ROWS.items():
        assert states[tier] == ("failed" if row.words else "success"), tier
        if row.counts is not None:
            assert pull_xcom(dag.dag_id, tier)[tier]["counts"] == row.counts
        else:
            assert any(
                f"demo/{tier}: " in line and row.words.format(node=f"{tier}-2") in line for line in printed.splitlines()
            ), tier
