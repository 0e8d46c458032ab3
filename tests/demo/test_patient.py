"""Requests to a busy server are made again, said to be, and never act twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_chefconsul.testing.port import ADDRESS, free_port
from demo.patient import NoAnswerError, PatientClient
from tests.support.peer import Answer, Peer, Request

# What the server does with a request: answers with a status, closes the connection, or keeps the client waiting.
CLOSE, HANG = "close", "hang"
Deed = int | str


@contextmanager
def serving(*deeds: Deed) -> Iterator[Peer]:
    """A server that does one deed for each request, the last one for all that follow."""
    left, may_end = list(deeds), threading.Event()

    def answer(_: Request) -> Answer | None:
        deed = left.pop(0) if len(left) > 1 else left[0]
        if deed == HANG:
            may_end.wait(30)
        return None if deed in {HANG, CLOSE} else Answer(int(deed), "{}")

    with Peer(answer) as server:
        yield server
        may_end.set()


@pytest.fixture
def client() -> Iterator[Callable[..., tuple[PatientClient, list[str]]]]:
    """Make a client that does not rest between requests, and a list of what it says."""
    made = []

    def make(url: str, *, timeout: float = 10, patience: float = 30) -> tuple[PatientClient, list[str]]:
        said: list[str] = []
        made.append(PatientClient(url, say=said.append, timeout=timeout, patience=patience, pause=0))
        return made[-1], said

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize("deed", [CLOSE, HANG, 500, 503])
def test_what_can_be_repeated_is_asked_again_and_said(method: str, deed: Deed, client) -> None:
    """Whatever the kind of silence; the answer is that which comes at last."""
    with serving(deed, deed, 200) as server:
        asking, said = client(server.url, timeout=0.2 if deed == HANG else 10)
        assert asking.request(method, "/dags").status_code == 200
    assert len(said) >= 2
    assert all("asking again" in line.lower() and f"{method} /dags" in line for line in said)
    assert len(server.requests) == len(said) + 1


@pytest.mark.parametrize("deed", [CLOSE, HANG])
def test_post_without_a_name_is_made_once(deed: Deed, client) -> None:
    """Nobody knows whether it acted."""
    with serving(deed, 200) as server:
        asking, said = client(server.url, timeout=0.2 if deed == HANG else 10)
        with pytest.raises(NoAnswerError, match="POST /clear: no answer in 0 s"):
            asking.request("POST", "/clear", {})
    assert ([request.line for request in server.requests], said) == (["POST /clear"], [])


def test_post_that_did_not_get_there_is_made_again(client) -> None:
    """A server that does not listen yet has done nothing."""
    asking, said = client(f"http://{ADDRESS}:{free_port()}", patience=0.05)
    with pytest.raises(NoAnswerError, match="ConnectError"):
        asking.request("POST", "/clear", {})
    assert said


def test_what_was_made_before_its_answer_was_lost_counts_as_made(client) -> None:
    """A run or a connection has a name of its own, and the second attempt finds it."""
    with serving(CLOSE, 409) as server:
        asking, _ = client(server.url)
        assert asking.make("/dagRuns", {"dag_run_id": "demo__1"}) is None
    assert len(server.requests) == 2


def test_conflict_with_somebody_else_is_an_answer(client) -> None:
    """At the first attempt, the name was taken before."""
    with serving(409) as server:
        response = client(server.url)[0].make("/dagRuns", {"dag_run_id": "demo__1"})
        assert response is not None
        assert response.status_code == 409


@pytest.mark.parametrize("deed", [CLOSE, 500])
def test_patience_has_an_end(deed: Deed, client) -> None:
    """An error that says what was asked, and what came of it."""
    with serving(deed) as server:
        asking, _ = client(server.url, patience=0.05)
        with pytest.raises(NoAnswerError, match=r"GET /dags: no answer in 0 s: (RemoteProtocolError|status 500)"):
            asking.request("GET", "/dags")


def test_refusal_is_an_answer(client) -> None:
    """What Airflow says no to, it says no to at once."""
    with serving(404) as server:
        assert client(server.url)[0].request("GET", "/dags/none").status_code == 404
    assert len(server.requests) == 1
