"""How events name their nodes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.consul.exec_job import LONGEST_FILTER, batches, node_filter

names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


@given(st.lists(names, unique=True, max_size=80))
def test_batches_fit_and_name_every_node_once(nodes: list[str]) -> None:
    """No filter is longer than an event allows, unless one name alone is; each node is in one batch, in order."""
    split = list(batches(nodes))

    assert [node for batch in split for node in batch] == nodes
    assert all(len(node_filter(batch)) <= LONGEST_FILTER or len(batch) == 1 for batch in split)


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

    assert len(list(batches(nodes))) == 5
    assert node_filter(nodes[:2]) == r"^(web-00\.eu-west\.example\.com|web-01\.eu-west\.example\.com)$"
