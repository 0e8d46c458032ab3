"""No false green and no false red: a wait's verdicts against a model that knows the true state of each node.

``TRUTH_HISTORIES=100000 pytest tests/domain/verdict/test_truth.py`` tries more histories; ``python -m
tests.domain.verdict.truth 100000`` also shows the smallest history for each fault.
"""

from __future__ import annotations

import os

import pytest

from tests.domain.verdict.truth.history import History, run_many, shrink
from tests.domain.verdict.truth.mutations import MUTATIONS
from tests.support.examples import examples

HISTORIES = int(os.environ.get("TRUTH_HISTORIES", examples(20)))
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_no_verdict_contradicts_the_truth(part):
    """Whatever happens to nodes, reports, catalog and tier, and however little of it the wait sees."""
    tally, faults = run_many(range(part * HISTORIES // PARTS, (part + 1) * HISTORIES // PARTS))
    shown = [(seed, kind, text, shrink(History.make(seed), kind)) for seed, kind, text in faults[:1]]
    assert not shown
    assert tally["greens"] > HISTORIES // PARTS // 4
    assert tally["reds"] > HISTORIES // PARTS // 4


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_model_finds_each_fault_that_was_fixed(name):
    """A model that finds nothing proves nothing: with a fix undone, it finds the fault again."""
    mutate, kind, first = MUTATIONS[name]
    with mutate():
        assert any(found == kind for seed in range(first, first + 2000) for found, _ in History.make(seed).run().faults)


def test_a_history_is_shrunk():
    """To little more than the events that cause the fault."""
    mutate, kind, first = MUTATIONS["reports count for any assignment with their generation"]
    with mutate():
        small = shrink(History.make(first), kind)
        assert len(small.events) <= 8
        assert any(found == kind for found, _ in small.run().faults)
    assert not small.run().faults
