"""What Consul itself knows of Dag runs that left a canary out."""

from __future__ import annotations

import pytest

from airflow_provider_chefconsul.consul.orphan import find_orphans
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.lease import DagRun
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.verdict.orphan import RunEnd, RunFate
from tests.support.factory import make_assignment, make_canary, make_desired, make_lease, make_writer

BESIDE = make_desired(8, stable=make_assignment(7), canary=make_canary(8))
RUN = DagRun.of(make_writer())
ENTRY = JournalEntry(
    "2026-11-22T08:00:00.000Z", make_writer(), JournalAct.DECLARED, {"web": BESIDE.newest}, JournalWave("1", 1, 3)
)


def nobody(runs):
    """An Airflow that is asked without need."""
    raise AssertionError(runs)


async def test_without_a_canary_nobody_is_asked(view):
    """Nor is anything read."""
    assert await find_orphans(view, "demo", {"web": make_desired(8), "db": None}, None, nobody) == {}


async def test_who_lost_the_lease_is_refused_and_so_has_ended(view, consul_kv):
    """The mark of the lost lease says since when, for one who cannot ask Airflow, too."""
    tiers = {"web": BESIDE, "db": make_desired(3)}
    assert await find_orphans(view, "demo", tiers, None, None) == {}
    mark = view.keys.lost_lease("demo", RUN.dag_id, RUN.run_id).removeprefix(f"{view.keys.root}/")
    lease = make_lease(holder=DagRun("other", "manual__9"))
    consul_kv[mark] = lease.to_json()
    fenced = RunEnd(RUN, RunFate.FENCED, read_moment(lease.acquired_at))
    assert await find_orphans(view, "demo", tiers, None, None) == {"web": fenced}
    assert await find_orphans(view, "demo", tiers, None, lambda runs: {}) == {"web": fenced}
    assert await find_orphans(view, "demo", tiers, None, lambda runs: {RUN: RunEnd(RUN, RunFate.FAILED)}) == {
        "web": RunEnd(RUN, RunFate.FAILED)
    }
    consul_kv[mark] = "spoilt"
    assert await find_orphans(view, "demo", tiers, None, None) == {"web": RunEnd(RUN, RunFate.FENCED)}


async def test_the_journal_tells_whether_another_wave_was_meant(view, consul_kv):
    """It matters for a run that succeeded."""

    def succeeded(runs):
        return dict.fromkeys(runs, RunEnd(RUN, RunFate.SUCCEEDED))

    assert await find_orphans(view, "demo", {"web": BESIDE}, None, succeeded) == {}
    consul_kv["demo/_journal/1"] = ENTRY.to_json()
    assert await find_orphans(view, "demo", {"web": BESIDE}, None, succeeded) == {"web": RunEnd(RUN, RunFate.SUCCEEDED)}


@pytest.mark.parametrize("ends", [{}, {RUN: RunEnd(RUN, RunFate.SUCCEEDED)}])
async def test_what_the_token_may_not_read_tells_nothing(acl_consul, consul_root, ends):
    """Who may see a tier, and neither the journal nor the marks, sees it as before."""
    token = acl_consul.create_token(f'key_prefix "{consul_root}/demo/web/" {{ policy = "read" }}')
    async with acl_consul.connect(token, consul_root) as client:
        assert await find_orphans(SharedView(client), "demo", {"web": BESIDE}, None, lambda runs: ends) == {}
