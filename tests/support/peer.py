"""A server in Consul's place: answers as a test says, or forwards to the real Consul, and records requests."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_OF_THE_CONNECTION = {"Connection", "Content-Length", "Date", "Server", "Transfer-Encoding"}


@dataclass(frozen=True)
class Request:
    """A client's request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def line(self) -> str:
        """The method and the target."""
        return f"{self.method} {self.target}"

    @property
    def token(self) -> str | None:
        """Consul's token."""
        return next((value for name, value in self.headers.items() if name.lower() == "x-consul-token"), None)

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


@dataclass(frozen=True)
class Answer:
    """A peer's answer."""

    status: int = 200
    body: bytes | str = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"X-Consul-Index": "1"})


class Peer:
    """An HTTP server on loopback; use as a context manager.

    :param answer: called with each request, in a thread of its own; None closes the connection without an answer.
    :param tls: speak TLS with this context.
    """

    port = 0

    def __init__(self, answer: Callable[[Request], Answer | None], *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._answer = answer
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listen; on the same port again if it has listened before."""
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, dict(self.headers), body)
                peer.requests.append(request)
                found = peer._answer(request)
                if found is None:
                    return
                content = found.body.encode() if isinstance(found.body, str) else found.body
                self.send_response(found.status)
                for name, value in found.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_PUT = do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A client may go away, or fail the handshake."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        if self._tls is not None:  # without a handshake here: it would hold up the thread that accepts connections
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def forward_to(port: int) -> Callable[[Request], Answer]:
    """The answer of the real Consul on that port."""

    def forward(request: Request) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(request.method, request.target, request.body, dict(request.headers))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        kept = {name: value for name, value in response.headers.items() if name not in _OF_THE_CONNECTION}
        return Answer(response.status, body, kept)

    return forward
