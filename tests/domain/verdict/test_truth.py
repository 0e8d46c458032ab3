"""No green that was not, and no red: what waits say, against a model of what nodes truly have.

``TRUTH_HISTORIES=100000 pytest tests/domain/verdict/test_truth.py`` tries more; ``python -m
tests.domain.verdict.truth 100000`` shows
the smallest history of each fault, too.
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
def test_no_verdict_betrays_the_truth(part):
    """Whatever happens to nodes, reports, catalog and tier, and however little of it a wait sees."""
    tally, faults = run_many(range(part * HISTORIES // PARTS, (part + 1) * HISTORIES // PARTS))
    shown = [(seed, kind, said, shrink(History.make(seed), kind)) for seed, kind, said in faults[:1]]
    assert not shown
    assert tally["greens"] > HISTORIES // PARTS // 4
    assert tally["reds"] > HISTORIES // PARTS // 4


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_model_finds_each_fault_that_was_mended(name):
    """A model that finds nothing proves nothing: with the mend taken out, it does."""
    put_back, kind, first = MUTATIONS[name]
    with put_back():
        assert any(found == kind for seed in range(first, first + 2000) for found, _ in History.make(seed).run().faults)


def test_a_history_is_made_small():
    """What is shown of a fault is what it takes to see it."""
    put_back, kind, first = MUTATIONS["reports count for any assignment with their generation"]
    with put_back():
        small = shrink(History.make(first), kind)
        assert len(small.steps) <= 8
        assert any(found == kind for found, _ in small.run().faults)
    assert not small.run().faults
