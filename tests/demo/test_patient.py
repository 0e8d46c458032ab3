"""Requests to a busy server are made again, said to be, and never act twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_chefconsul.testing.port import ADDRESS, free_port
from demo.patient import NoAnswerError, PatientClient

# What the server does with a request: answers with a status, closes the connection, or keeps the client waiting.
CLOSE, HANG = "close", "hang"
Deed = int | str


class BusyServer:
    """Does one deed for each request, the last one for all that follow."""

    def __init__(self, *deeds: Deed) -> None:
        self.requests: list[str] = []
        self._deeds = list(deeds)
        self.release = threading.Event()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Read the request, and do the next deed."""
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.requests.append(f"{handler.command} {handler.path}")
        deed = self._deeds.pop(0) if len(self._deeds) > 1 else self._deeds[0]
        handler.close_connection = True
        if deed == HANG:
            self.release.wait(30)
        elif deed != CLOSE:
            handler.send_response(int(deed))
            handler.send_header("Content-Length", "2")
            handler.end_headers()
            handler.wfile.write(b"{}")


@contextmanager
def serving(server: BusyServer) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            server.serve(self)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815 the names are http.server's

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    httpd = ThreadingHTTPServer((ADDRESS, 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    try:
        yield f"http://{ADDRESS}:{httpd.server_port}"
    finally:
        server.release.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()


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
    server = BusyServer(deed, deed, 200)
    with serving(server) as url:
        asking, said = client(url, timeout=0.2 if deed == HANG else 10)
        assert asking.request(method, "/dags").status_code == 200
    assert len(said) >= 2
    assert all("asking again" in line.lower() and f"{method} /dags" in line for line in said)
    assert len(server.requests) == len(said) + 1


@pytest.mark.parametrize("deed", [CLOSE, HANG])
def test_post_without_a_name_is_made_once(deed: Deed, client) -> None:
    """Nobody knows whether it acted."""
    server = BusyServer(deed, 200)
    with serving(server) as url:
        asking, said = client(url, timeout=0.2 if deed == HANG else 10)
        with pytest.raises(NoAnswerError, match="POST /clear: no answer in 0 s"):
            asking.request("POST", "/clear", {})
    assert (server.requests, said) == (["POST /clear"], [])


def test_post_that_did_not_get_there_is_made_again(client) -> None:
    """A server that does not listen yet has done nothing."""
    asking, said = client(f"http://{ADDRESS}:{free_port()}", patience=0.05)
    with pytest.raises(NoAnswerError, match="ConnectError"):
        asking.request("POST", "/clear", {})
    assert said


def test_what_was_made_before_its_answer_was_lost_counts_as_made(client) -> None:
    """A run or a connection has a name of its own, and the second attempt finds it."""
    server = BusyServer(CLOSE, 409)
    with serving(server) as url:
        asking, _ = client(url)
        assert asking.make("/dagRuns", {"dag_run_id": "demo__1"}) is None
    assert len(server.requests) == 2


def test_conflict_with_somebody_else_is_an_answer(client) -> None:
    """At the first attempt, the name was taken before."""
    with serving(BusyServer(409)) as url:
        response = client(url)[0].make("/dagRuns", {"dag_run_id": "demo__1"})
        assert response is not None
        assert response.status_code == 409


@pytest.mark.parametrize("deed", [CLOSE, 500])
def test_patience_has_an_end(deed: Deed, client) -> None:
    """An error that says what was asked, and what came of it."""
    with serving(BusyServer(deed)) as url:
        asking, _ = client(url, patience=0.05)
        with pytest.raises(NoAnswerError, match=r"GET /dags: no answer in 0 s: (RemoteProtocolError|status 500)"):
            asking.request("GET", "/dags")


def test_refusal_is_an_answer(client) -> None:
    """What Airflow says no to, it says no to at once."""
    server = BusyServer(404)
    with serving(server) as url:
        assert client(url)[0].request("GET", "/dags/none").status_code == 404
    assert len(server.requests) == 1
