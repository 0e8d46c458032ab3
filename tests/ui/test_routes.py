"""The board's routes inside of Airflow's API: who may see what, and what is refused."""

from __future__ import annotations

import json

import pytest

from airflow_provider_chefconsul.domain.model.report import Status
from tests.support.airflow_home import connect
from tests.support.factory import make_desired, make_failure, make_lease, make_report, make_writer

CONNECTION = "api/connections/consul_default"
DATA = [
    f"{CONNECTION}/environments",
    f"{CONNECTION}/environments?dag_id=shop_rollout&run_id=manual__1",
    f"{CONNECTION}/environments/demo/events?tier=web",
    f"{CONNECTION}/environments/demo/tiers/web/nodes/web-1",
]


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize(
    ("role", "status"), [(None, 401), ("viewer", 403), ("user", 403)], ids=["nobody", "viewer", "user"]
)
async def test_data_is_for_those_who_may_read_the_connection(scene, visit, consul_connection, path, role, status):
    """Airflow's own permission, on every route; what is refused has no data in its body."""
    answer = await visit(path, role)
    assert answer.status_code == status
    assert set(answer.json()) == {"detail"}
    assert not any(word in answer.text for word in ("web", "demo", "2.4.0", "shop_rollout"))


async def test_a_forged_token_is_refused(scene, visit, consul_connection):
    """As by the rest of Airflow."""
    answer = await visit(DATA[0], None, Authorization="Bearer eyJhbGciOiJub25lIn0.e30.")
    assert answer.status_code == 403


@pytest.mark.parametrize("role", ["op", "admin"])
async def test_environments_are_listed(scene, visit, consul_connection, role):
    """For those who may read the connection and Dags."""
    answer = await visit(DATA[0], role)
    assert answer.json() == {"environments": [{"environment": "demo", "tiers": ["web"]}], "of_run": []}


async def test_the_connection_asked_for_is_the_one_that_is_authorised(visit, consul_connection, api, monkeypatch):
    """Who may read one connection does not get another."""
    from airflow.api_fastapi.app import get_auth_manager

    manager = get_auth_manager()
    monkeypatch.setattr(
        manager, "is_authorized_connection", lambda *, details, **_: details.conn_id == "consul_default"
    )
    assert (await visit(DATA[0])).status_code == 200
    assert (await visit("api/connections/consul_other/environments")).status_code == 403


@pytest.mark.parametrize("path", DATA)
async def test_the_dag_asked_for_is_authorised(scene, visit, consul_connection, api, monkeypatch, path):
    """Who may read the connection, but not the Dag that the view belongs to, gets nothing."""
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", lambda *, details, **_: details.id != "shop_rollout")
    if "shop_rollout" not in path:
        path += "&dag_id=shop_rollout" if "?" in path else "?dag_id=shop_rollout"
    answer = await visit(path)
    assert (answer.status_code, answer.json()) == (403, {"detail": "Forbidden"})


async def test_dags_altogether_are_authorised(scene, visit, consul_connection, api, monkeypatch):
    """Without a Dag in the address, reading Dags at all is asked for."""
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", lambda *, details, **_: details.id is not None)
    assert (await visit(DATA[0])).status_code == 403


@pytest.mark.parametrize("by", ["history", "lease"])
async def test_a_dag_run_finds_its_environments(scene, visit, consul_connection, consul_kv, by):
    """Those that it wrote, and that it holds."""
    writer = make_writer(run_id="scheduled__2026-11-22T08:00:00+00:00")
    if by == "history":
        consul_kv["other/_history/app/000000000007"] = make_desired(written_by=writer).to_json()
        consul_kv["other/app/desired"] = make_desired(8, written_by=make_writer(run_id="later")).to_json()
    else:
        consul_kv["other/_lease"] = make_lease(holder=make_lease().holder.of(writer)).to_json()
    answer = await visit(
        f"{CONNECTION}/environments?dag_id=shop_rollout&run_id=scheduled__2026-11-22T08%3A00%3A00%2B00%3A00"
    )
    assert answer.json()["of_run"] == ["demo", "other"]
    unknown = await visit(f"{CONNECTION}/environments?dag_id=shop_rollout&run_id=nobody")
    assert unknown.json()["of_run"] == []


async def test_a_node_explains_itself(scene, visit, consul_connection, consul_kv):
    """With its report, as text that is not interpreted."""
    consul_kv["demo/web/nodes/web-2"] = make_failure("web-2", generation=1).to_json()
    answer = (await visit(f"{CONNECTION}/environments/demo/tiers/web/nodes/web-2")).json()
    assert answer["text"].startswith("failed converging generation 1")
    assert answer["report"]["error"]["class"] == "Errno::ENOSPC"


async def test_a_node_tells_of_its_run_that_read_no_tier(scene, visit, consul_connection, consul_kv):
    """Nothing of it is in the tier's own report."""
    consul_kv["demo/web/nodes/web-2"] = make_report("web-2", generation=1, status=Status.RUNNING).to_json()
    error = {"class": "SyntaxError", "message": "unexpected end", "resource": ""}
    died = {"schema": 1, "node": "web-2", "finished_at": "2026-11-22T08:00:01Z", "error": error}
    consul_kv["demo/_nodes/web-2"] = json.dumps(died)
    answer = (await visit(f"{CONNECTION}/environments/demo/tiers/web/nodes/web-2")).json()
    assert answer["text"].startswith("running generation 1")
    assert answer["text"].endswith("SyntaxError: unexpected end")


async def test_a_spoilt_report_is_told(scene, visit, consul_connection, consul_kv):
    """Half a character, which JSON can hold and UTF-8 cannot, is a report that cannot be read."""
    report = json.loads(make_failure("web-2", generation=1).to_json())
    report["error"]["message"] = "half: \ud800"
    consul_kv["demo/web/nodes/web-2"] = json.dumps(report)
    answer = (await visit(f"{CONNECTION}/environments/demo/tiers/web/nodes/web-2")).json()
    assert answer["standing"] == "malformed_report"
    assert "nodes/web-2: not JSON" in answer["report"]["problem"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{CONNECTION}/environments/demo/tiers/web/nodes/web-9", 404, "demo/web has no member web-9"),
        (f"{CONNECTION}/environments/demo/tiers/_web/nodes/web-1", 400, "tier '_web' is not a name"),
        (f"{CONNECTION}/environments/..%2f..%2fdemo/tiers/web/nodes/web-1", 404, "Not Found"),
        (f"{CONNECTION}/environments/demo/tiers/web/nodes/%3Cimg%3E", 400, "node '<img>' is not a name"),
        (f"{CONNECTION}/environments/de%20mo/events?tier=web", 400, "environment 'de mo' is not a name"),
        (f"{CONNECTION}/environments/demo/events?tier=web&tier=a/b", 400, "tier 'a/b' is not a name"),
        (f"{CONNECTION}/environments/nowhere/events?tier=web", 404, "environment nowhere has no tiers"),
        (f"{CONNECTION}/environments/demo/events?tier=web&tier=nope", 404, "environment demo has no tier nope"),
        (
            f"{CONNECTION}/environments/demo/events?{'&'.join(f'tier=t{n}' for n in range(17))}",
            400,
            "cannot show 17 tiers",
        ),
        ("api/connections/postgres_default/environments", 404, "'postgres_default' is not the id of a connection"),
        ("api/connections/nowhere/environments", 404, "'nowhere' is not the id of a connection of type consul"),
        ("api/connections/%C3%A4/environments", 404, "'\\xe4' is not the id of a connection"),
        ("api/connections/consul_broken/environments", 400, "port is missing"),
        ("api/nothing", 404, "Not Found"),
    ],
)
async def test_what_is_not_there_is_said(scene, visit, consul_connection, monkeypatch, path, status, words):
    """One clear error as JSON, before Consul sees the name."""
    monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", json.dumps({"conn_type": "postgres", "host": "127.0.0.1"}))
    connect(monkeypatch, 0, connection_id="consul_broken")
    answer = await visit(path)
    assert (answer.status_code, set(answer.json())) == (status, {"detail"})
    assert words in answer.json()["detail"]


async def test_tiers_must_be_named(scene, visit, consul_connection):
    """A stream of nothing is a mistake."""
    assert (await visit(f"{CONNECTION}/environments/demo/events")).status_code == 422


async def test_a_consul_that_is_away_is_an_error_of_its_own(visit, monkeypatch, free_port):
    """Neither an empty list nor a stack trace."""
    connect(monkeypatch, free_port)
    answer = await visit(DATA[0])
    assert answer.status_code == 503
    assert "cannot be reached" in answer.json()["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", DATA)
async def test_nothing_can_be_changed(visit, consul_connection, path, method):
    """There is no route that writes."""
    assert (await visit(path, "admin", method)).status_code == 405


@pytest.mark.parametrize("path", ["", "main.js", "board.css", "nowhere", DATA[0]])
@pytest.mark.parametrize("role", [None, "op"])
async def test_every_answer_is_guarded(visit, consul_connection, path, role):
    """Nothing from elsewhere, in no foreign frame, and no guessing of types."""
    headers = (await visit(path, role)).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


async def test_the_page_itself_has_no_data_and_nothing_from_elsewhere(visit):
    """It is the same for everybody, so nobody is asked who he is."""
    page = await visit("", None)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert "<script>" not in page.text
    assert "style=" not in page.text


@pytest.mark.parametrize("path", ["..%2fapp.py", "%2e%2e/app.py"])
async def test_only_the_page_is_served(visit, path):
    """Not what is beside it."""
    assert (await visit(path)).status_code == 404
