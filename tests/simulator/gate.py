"""A gate between a client and the real Consul: it can be closed, it records requests, and it can answer itself."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Gate:
    """An address that forwards to Consul while it is open; use as a context manager.

    ``answers`` are given to the next requests in place of Consul's, ``put_answers`` only to the next writes,
    ``by_path`` to all for a path; ``on_request`` is called with each request, after it was recorded and before it is
    answered.
    """

    def __init__(self, consul_port: int) -> None:
        self.consul_port = consul_port
        self.requests: list[str] = []
        self.tokens: list[str | None] = []
        self.answers: list[tuple[int, bytes]] = []
        self.put_answers: list[tuple[int, bytes]] = []
        self.by_path: dict[str, tuple[int, bytes]] = {}
        self.on_request: Callable[[], object] = lambda: None
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.open()
        self.url = f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Forward requests, on the same port as before."""
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gate._handle(self)

            do_PUT = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
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
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        method = handler.command
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.requests.append(f"{method} {handler.path}")
        self.tokens.append(handler.headers["X-Consul-Token"])
        self.on_request()
        headers: dict[str, str] = {}
        if method == "PUT" and self.put_answers:
            status, answer = self.put_answers.pop(0)
        elif handler.path in self.by_path:
            status, answer = self.by_path[handler.path]
        elif self.answers:
            status, answer = self.answers.pop(0)
        else:
            status, answer, headers = self._forward(method, handler.path, body)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        with contextlib.suppress(OSError):  # the client does not wait any more
            handler.end_headers()
            handler.wfile.write(answer)

    def _forward(self, method: str, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.consul_port, timeout=10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        return response.status, answer, {"X-Consul-Index": response.headers.get("X-Consul-Index", "1")}
