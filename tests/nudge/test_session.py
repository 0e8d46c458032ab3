"""How events name their nodes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.exceptions import InvalidInput, RequestTooLarge
from airflow_provider_chefconsul.nudge.session import LONGEST_EVENT, batches, check_events, event_payload, node_filter

names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


@given(st.lists(names, unique=True, max_size=80))
def test_batches_fit_and_name_every_node_once(nodes: list[str]) -> None:
    """No filter is longer than an event allows, unless one name alone is; each node is in one batch, in order."""
    split = list(batches(nodes))

    assert [node for batch in split for node in batch] == nodes
    room = LONGEST_EVENT - len(event_payload("_rexec"))
    assert all(len(node_filter(batch)) <= room or len(batch) == 1 for batch in split)


@given(st.lists(names, min_size=1, max_size=5), names)
def test_filter_matches_exactly_its_nodes(nodes: list[str], other: str) -> None:
    """An agent runs a job only if it is named: dots are dots, and no name matches a longer one."""
    matches = re.compile(node_filter(nodes)).search  # unanchored, as agents do

    assert all(matches(node) for node in nodes)
    assert bool(matches(other)) == (other in nodes)
    assert not any(matches(f"{node}x") and f"{node}x" not in nodes for node in nodes)


def test_forty_nodes_need_several_batches() -> None:
    """Names of an ordinary length."""
    nodes = [f"web-{number:02}.eu-west.example.com" for number in range(40)]

    assert len(list(batches(nodes))) == 4
    assert node_filter(nodes[:2]) == r"^(web-00\.eu-west\.example\.com|web-01\.eu-west\.example\.com)$"


def test_longest_names_can_be_named() -> None:
    """Unless a prefix for each node leaves no room: that is said before anything is sent, with the remedy."""
    longest = "a." * 64
    check_events([longest], None)
    check_events(["w" * 128], "rexec/of/this/cluster")
    with pytest.raises(InvalidInput, match="node w+ would be [0-9]+ bytes longer.*use a shorter prefix_per_node"):
        check_events(["web-1", "w" * 128], "rexec/" * 12 + "node")
    with pytest.raises(InvalidInput, match="use a shorter prefix_per_node"):
        check_events([longest], "rexec-node")


@pytest.mark.parametrize("prefix", ["_rexec", "rexec-node/" + "w" * 128])
async def test_consul_takes_the_longest_event(client, prefix) -> None:
    """Just as long as we let one be."""
    payload = event_payload(prefix)
    await client.event.fire("_rexec", payload, node="x" * (LONGEST_EVENT - len(payload)))
    with pytest.raises(RequestTooLarge, match="exceeds configured limit"):
        await client.event.fire("_rexec", payload, node="x" * 400)
