"""The simulated client in a namespace or partition of Consul Enterprise: what it sends, and where there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulator.node import Node
from tests.support.peer import Answer, Peer, Request, forward_to


def test_every_request_carries_them(node: Node) -> None:
    """The reads, the reports and the question for the machine's id."""
    node.desire(7)
    forward = forward_to(node.port)

    def answer(request: Request) -> Answer:
        """Answer as Consul Enterprise does to a token that may not list partitions."""
        if request.path == "/v1/partitions":
            return Answer(403, "Permission denied")
        kept = {name: value for name, value in request.headers.items() if not name.startswith("X-Consul")}
        return forward(replace(request, headers=kept))

    with Peer(answer) as peer:
        code, output = node.run("--consul", peer.url, "--namespace", "team", "--partition", "eu")
    assert code == 0, output
    assert node.reported("status", "generation") == ["succeeded", 7]
    sent = [request.headers for request in peer.requests]
    assert {(each["X-Consul-Namespace"], each["X-Consul-Partition"]) for each in sent} == {("team", "eu")}
    assert [request.path for request in peer.requests].count("/v1/partitions") == 1


@pytest.mark.parametrize("field", ["namespace", "partition"])
def test_consul_without_them_is_refused(node: Node, field: str) -> None:
    """It may ignore them, and the run would read and write where all others do."""
    node.desire(7)
    code, output = node.run(f"--{field}", "team")
    assert (code, f"has no {field}s; only Consul Enterprise does" in output) == (1, True)
    assert node.report() is None


@pytest.mark.parametrize("field", ["namespace", "partition"])
def test_what_no_header_can_carry_is_refused(node: Node, field: str) -> None:
    """Before Consul is asked for anything."""
    code, output = node.run(f"--{field}", "team\r\nX-A: b")
    assert (code, f"{field} 'team\\r\\nX-A: b' is not a name" in output) == (43, True)
