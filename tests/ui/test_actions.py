"""The board's routes that change something: who may, from where, and what comes of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_provider_chefconsul.consul.freeze import find_freeze, freeze
from airflow_provider_chefconsul.consul.journal import read_journal
from airflow_provider_chefconsul.consul.lease import find_lease
from airflow_provider_chefconsul.consul.write import steer
from airflow_provider_chefconsul.domain.model.freeze import make_freeze_entry
from airflow_provider_chefconsul.domain.model.writer import BOARD
from airflow_provider_chefconsul.domain.write.rollback import RollBack
from airflow_provider_chefconsul.domain.write.wave import Wave
from tests.support.factory import make_lease, make_writer

ACTS = "api/connections/consul_default/environments/demo/acts"
OWN = {"x-requested-with": "rollout-board", "content-type": "application/json"}
STEERING = ["promote", "abort", "roll_back"]
OTHERS = ["freeze", "unfreeze", "break_lease"]


@pytest.fixture
def act(visit, consul_connection):
    """Do something, after it was planned, as somebody with a role."""

    async def act(name, *, role="op", tier="web", reason="too slow", **fields):
        planned = await visit(f"{ACTS}/{name}/plan", role, "POST", body=json.dumps({"tier": tier}), **OWN)
        if planned.status_code != 200:
            return planned
        body = {"tier": tier, "reason": reason, "seen": planned.json()["seen"]} | fields
        return await visit(f"{ACTS}/{name}", role, "POST", body=json.dumps(body), **OWN)

    return act


async def last_entry(scene):
    """The newest one of the journal."""
    return (await read_journal(scene.view, "demo"))[-1]


async def desired(scene):
    """What is desired of demo/web."""
    return (await scene.view.read("demo", "web")).required_desired("web")


async def begin(scene, release="2.5.0"):
    """A canary on one node."""
    return await scene.declare("web", "converged", Wave.parse(("web-1",)), release=release)


async def test_a_plan_changes_nothing(scene, visit, consul_connection):
    """And says what would be done, to which nodes, and what that rests on."""
    await begin(scene)
    before = await desired(scene)
    answer = await visit(f"{ACTS}/promote/plan", "op", "POST", body='{"tier": "web"}', **OWN)
    assert answer.json() == {
        "text": "Then: all nodes are assigned generation 2, state converged, release=2.5.0. "
        "2 of 3 nodes change: web-2, web-3.",
        "seen": 2,
    }
    assert await desired(scene) == before


async def test_a_canary_is_promoted(scene, act):
    """And the journal says who did it, and why."""
    await begin(scene)
    assert (await act("promote", reason="looks good")).status_code == 200
    now, entry = await desired(scene), await last_entry(scene)
    assert (now.canary, now.stable.values) == (None, {"release": "2.5.0"})
    assert (entry.act, entry.reason) == ("promoted", "looks good")
    assert re.fullmatch(r"op 20\S+Z \(rollout board, promote\)", str(entry.by))


async def test_a_rollout_is_aborted(scene, act):
    """Its Dag run is told the reason."""
    await begin(scene)
    assert (await act("abort")).status_code == 200
    now = await desired(scene)
    assert (now.canary, now.aborted.reason) == (None, "too slow")


async def test_a_tier_is_rolled_back_to_what_was_good(scene, act):
    """Once, also when two press at once: the second one would go back further."""
    await scene.judge("web")
    await scene.declare("web", "converged", release="2.5.0")
    await scene.judge("web")
    await scene.declare("web", "converged", release="2.6.0")
    assert (await act("roll_back")).status_code == 200
    assert (await desired(scene)).stable.values == {"release": "2.5.0"}
    late = await act("roll_back", seen=3)
    assert late.status_code == 409
    assert "cannot roll back generation 3: generation 4 is the newest" in late.json()["detail"]
    assert (await desired(scene)).stable.values == {"release": "2.5.0"}


@pytest.mark.parametrize("name", ["promote", "abort"])
async def test_another_canary_than_the_planned_one_is_left_alone(scene, act, name):
    """Whoever pressed has not seen it."""
    await begin(scene)
    owner = (await desired(scene)).written_by  # another's rollback would abort its rollout
    await steer(scene.view, "demo", ["web"], RollBack(replace(owner, task_id="back")))
    await begin(scene, "2.6.0")
    late = await act(name, seen=2)
    assert (late.status_code, "generation 3 is" in late.json()["detail"]) == (409, True)
    assert (await desired(scene)).canary is not None


@pytest.mark.parametrize("name", STEERING)
async def test_a_generation_to_come_cannot_be_confirmed(scene, act, name):
    """Its Dag may be one that the viewer may not trigger, written between the question and the act."""
    await scene.judge("web")
    await begin(scene)
    early = await act(name, seen=3)
    assert (early.status_code, "generation 2 is the newest; look again" in early.json()["detail"]) == (409, True)


@pytest.mark.parametrize(("tier", "names"), [("web", {"web"}), (None, {"*"})])
async def test_tiers_are_frozen_and_unfrozen(scene, act, tier, names):
    """One, or all of the environment."""
    assert (await act("freeze", tier=tier, reason="party", until="2099-01-01T00:00:00Z")).status_code == 200
    found = (await find_freeze(scene.view, "demo")).freeze
    assert {(name, each.reason, each.until) for name, each in found.entries.items()} == {
        (name, "party", "2099-01-01T00:00:00Z") for name in names
    }
    refused = await act("roll_back")
    assert refused.status_code == 409
    assert (await act("unfreeze", tier=tier)).status_code == 200
    assert (await find_freeze(scene.view, "demo")).freeze.entries == {}


async def test_what_others_froze_meanwhile_is_not_overwritten(scene, act):
    """Whoever pressed later is told to look again."""
    entry = make_freeze_entry(make_writer(), "party", None, now=datetime.now(UTC))
    await freeze(scene.view, "demo", ["web"], entry)
    late = await act("freeze", seen=0)
    assert (late.status_code, "in the meantime" in late.json()["detail"]) == (409, True)
    assert (await find_freeze(scene.view, "demo")).freeze.entries == {"web": entry}


async def test_a_lease_is_broken(scene, act, consul_kv):
    """Unless its holder renewed it since the plan, which shows that it is alive."""
    consul_kv["demo/_lease"] = make_lease().to_json()
    alive = await act("break_lease", tier=None, seen=1)
    assert (alive.status_code, "was renewed" in alive.json()["detail"]) == (409, True)
    assert (await act("break_lease", tier=None, reason="its worker burned")).status_code == 200
    assert await find_lease(scene.view, "demo") is None
    assert (await act("break_lease", tier=None)).json()["detail"] == (
        "demo: nobody holds it, so there is nothing to break"
    )


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("freeze", {"reason": " "}, "reason must say why"),
        ("freeze", {"until": "2020-01-01T00:00:00Z"}, "until lies in the past"),
        ("roll_back", {"tier": "no/name"}, "tier 'no/name' is not a name"),
        ("freeze", {"tier": "nope"}, "has no tier nope"),
        ("freeze", {"seen": None}, "must be planned first"),
    ],
)
async def test_mistakes_are_said(scene, act, name, fields, words):
    """In a sentence; nothing is done."""
    await begin(scene)
    await scene.judge("web")
    answer = await act(name, **fields)
    assert answer.status_code in {400, 404}
    assert words in answer.json()["detail"]
    assert (await find_freeze(scene.view, "demo")).freeze.entries == {}


@pytest.mark.parametrize("name", ["promote", "abort"])
async def test_without_a_canary_there_is_nothing_to_steer(scene, act, name):
    """It says what stands."""
    answer = await act(name)
    assert answer.status_code == 409
    assert f"no canary is out, so there is nothing to {name}" in answer.json()["detail"]


# Who may --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [*STEERING, *OTHERS])
@pytest.mark.parametrize(("role", "status"), [(None, 401), ("viewer", 403), ("user", 403)])
async def test_who_may_not_look_may_do_nothing(scene, visit, consul_connection, name, role, status):
    """Neither plan nor do."""
    for path in (f"{ACTS}/{name}", f"{ACTS}/{name}/plan"):
        answer = await visit(path, role, "POST", body='{"tier": "web"}', **OWN)
        assert (answer.status_code, set(answer.json())) == (status, {"detail"})


@pytest.mark.parametrize("written_by", ["Dag", "person"])
async def test_who_may_only_look_may_do_nothing(scene, visit, consul_connection, act, api, monkeypatch, written_by):
    """Airflow is asked for the Dag that wrote the tier and for the connection, and says no."""
    from airflow.api_fastapi.app import get_auth_manager

    await begin(scene)
    if written_by == "person":
        await scene.judge("web")
        by_hand = replace(scene, writer=make_writer(dag_id=BOARD))
        await by_hand.declare("web", "converged", release="2.6.0")
    asked = []

    def authorize(*, method, details, access_entity=None, **_):
        asked.append((method, getattr(details, "id", None), access_entity and access_entity.name))
        return method == "GET"

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", authorize)
    monkeypatch.setattr(get_auth_manager(), "is_authorized_connection", lambda *, method, **_: method == "GET")
    for name in [*STEERING, *OTHERS]:
        answer = await act(name)
        assert (answer.status_code, "You may not do this" in answer.json()["detail"]) == (403, True), name
    assert (("POST", "shop_rollout", "RUN") in asked) == (written_by == "Dag")


async def test_who_may_trigger_the_dag_may_steer_what_it_wrote(scene, visit, consul_connection, act, api, monkeypatch):
    """Without the connection, which freezing and breaking leases need; of a canary, the Dag that began it counts."""
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(
        get_auth_manager(), "is_authorized_dag", lambda *, method, details, **_: method == "GET" or details.id == "one"
    )
    monkeypatch.setattr(get_auth_manager(), "is_authorized_connection", lambda *, method, **_: method == "GET")
    assert (await act("roll_back")).status_code == 403
    object.__setattr__(scene, "writer", make_writer(dag_id="one"))
    await begin(scene)
    object.__setattr__(scene, "writer", make_writer(dag_id="two"))
    await scene.declare("web", "converged", Wave.parse(("web-1", "web-2")), release="2.5.0")
    assert (await act("freeze")).status_code == 403
    assert (await act("promote")).status_code == 200
    await scene.judge("web")
    later = await act("roll_back")  # that Dag still wrote what all nodes have
    assert (later.status_code, "no earlier generation is known" in later.json()["detail"]) == (409, True)


async def test_names_of_other_dags_are_withheld(scene, act, api, monkeypatch, consul_kv):
    """Also in what is refused, and in what is planned."""
    from airflow.api_fastapi.app import get_auth_manager

    consul_kv["demo/_lease"] = make_lease(holder=make_lease().holder.of(make_writer(dag_id="secret"))).to_json()
    await scene.judge("web")
    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", lambda *, details, **_: details.id != "secret")
    answer = await act("roll_back")
    assert answer.status_code == 409
    assert "secret" not in answer.text


# From where -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},  # a form can send JSON as text
        {"content-type": "application/json"},
        {"x-requested-with": "rollout-board", "content-type": "text/plain"},
        {**OWN, "origin": "https://evil.test"},
        {**OWN, "origin": "null"},
        {**OWN, "sec-fetch-site": "cross-site"},
        {**OWN, "sec-fetch-site": "same-site"},
    ],
)
async def test_another_site_can_do_nothing(scene, visit, consul_connection, headers):
    """Though the browser sends Airflow's cookie along."""
    for path in (f"{ACTS}/freeze", f"{ACTS}/freeze/plan"):
        answer = await visit(path, "admin", "POST", body='{"reason": "x", "seen": 0}', **headers)
        assert answer.status_code == 403
        assert "own page" in answer.json()["detail"]
    assert (await find_freeze(scene.view, "demo")).freeze.entries == {}


async def test_the_own_page_is_let_through(scene, visit, consul_connection):
    """With what browsers add to its requests."""
    headers = {**OWN, "origin": "http://airflow.test", "sec-fetch-site": "same-origin"}
    assert (await visit(f"{ACTS}/freeze/plan", "op", "POST", body="{}", **headers)).status_code == 200


@pytest.mark.parametrize("body", ["", "[]", '{"tier": 1}', '{"tiers": ["web"]}', '{"reason": "' + "x" * 501 + '"}'])
async def test_other_bodies_are_refused(scene, visit, consul_connection, body):
    """Before anything is asked of Consul."""
    assert (await visit(f"{ACTS}/freeze", "op", "POST", body=body, **OWN)).status_code == 422
