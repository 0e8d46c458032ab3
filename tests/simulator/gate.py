"""A gate between a client and the real Consul: it can be closed, it records requests, and it can answer itself."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.peer import Answer, Peer, Request, forward_to


class Gate(Peer):
    """An address that forwards to Consul while it is open.

    ``answers`` are given to the next requests in place of Consul's, ``put_answers`` only to the next writes,
    ``by_path`` to all for a path; ``on_request`` is called with each request, after it was recorded and before it is
    answered.
    """

    def __init__(self, consul_port: int) -> None:
        super().__init__(self._choose)
        self.answers: list[tuple[int, bytes]] = []
        self.put_answers: list[tuple[int, bytes]] = []
        self.by_path: dict[str, tuple[int, bytes]] = {}
        self.on_request: Callable[[], object] = lambda: None
        self._forward = forward_to(consul_port)

    @property
    def lines(self) -> list[str]:
        """The method and target of each request."""
        return [request.line for request in self.requests]

    @property
    def tokens(self) -> list[str | None]:
        """The token of each request."""
        return [request.token for request in self.requests]

    def _choose(self, request: Request) -> Answer:
        self.on_request()
        if request.method == "PUT" and self.put_answers:
            return Answer(*self.put_answers.pop(0), {})
        if request.target in self.by_path:
            return Answer(*self.by_path[request.target], {})
        if self.answers:
            return Answer(*self.answers.pop(0), {})
        return self._forward(request)
