"""How commands end when something is missing: one line, an exit code, no traceback."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.airflow_home import connect
from tests.support.peer import Answer, Peer

COMMANDS = [
    ("status", "demo"),
    ("explain", "demo", "web"),
    ("history", "demo", "web"),
    ("plan", "demo", "web", "--state", "off"),
    ("set", "demo", "web", "--state", "off"),
    ("rollback", "demo", "web"),
    ("lease", "show", "demo"),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Shortens the wait for a Consul that is never there."""
    monkeypatch.setattr("airflow_provider_chefconsul.cli.command.PATIENCE", timedelta(seconds=0.2))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_unknown_connection(airflow_chefconsul, words):
    """Exit code 1; the error says how to define the connection."""
    ended = airflow_chefconsul(*words, "--conn-id", "nowhere")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "airflow chefconsul: error: Airflow has no connection 'nowhere'; add it in its UI or by "
        "AIRFLOW_CONN_NOWHERE, name another by --conn-id, or say which Consul by --url\n"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_consul_that_is_not_there(airflow_chefconsul, monkeypatch, free_port, words):
    """Exit code 1, and the address."""
    connect(monkeypatch, free_port, connection_id="gone")
    ended = airflow_chefconsul(*words, "--conn-id", "gone")
    assert (ended.code, ended.out) == (1, "")
    assert f"airflow chefconsul: error: http://127.0.0.1:{free_port} cannot be reached" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_token_that_may_not(airflow_chefconsul, monkeypatch, words):
    """Exit code 1; never mistaken for an environment without tiers."""
    with Peer(lambda _: Answer(403, "Permission denied")) as peer:
        connect(monkeypatch, peer.port, connection_id="forbidden")
        ended = airflow_chefconsul(*words, "--conn-id", "forbidden")
    assert (ended.code, ended.out) == (1, "")
    assert "Permission denied" in ended.err


def test_connection_that_cannot_be_used(airflow_chefconsul, monkeypatch):
    """Exit code 1, with the field that is wrong."""
    monkeypatch.setenv("AIRFLOW_CONN_ODD", "consul://127.0.0.1")
    ended = airflow_chefconsul("status", "demo", "--conn-id", "odd")
    assert ended.code == 1
    assert ended.err.startswith("airflow chefconsul: error: connection odd: port is missing")


def test_connection_of_the_database(airflow_chefconsul, airflow_database, cluster, consul_root, declare):
    """As the UI stores it; outside a task, Airflow would look only at environment variables."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    declare()
    stored = Connection(
        conn_id="stored", conn_type="consul", host="127.0.0.1", port=cluster.http_port, extra={"prefix": consul_root}
    )
    with create_session() as session:
        session.add(stored)
    ended = airflow_chefconsul("history", "demo", "web", "--conn-id", "stored", "-o", "json")
    assert ended.code == 0, ended.err
    assert len(ended.json["generations"]) == 1
