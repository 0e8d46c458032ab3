"""What is decided about nodes, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.nudge.roster import AMBIGUOUS_EXIT, DueActions, Roster


def make_roster(*names: str, **overrides: Any) -> Roster:
    """A roster with the timeouts that users get."""
    defaults = {
        "max_parallel": None,
        "ack_timeout": timedelta(seconds=10),
        "silence_timeout": timedelta(seconds=30),
    }
    return Roster(names, **defaults | overrides)


def list_events(roster: Roster, until: float, *, since: float = 0) -> list[float]:
    """When events are fired for anybody, deciding twice a second."""
    times = [since + half / 2 for half in range(int((until - since) * 2))]
    return [now for now in times if roster.advance(now).fire]


def test_events_are_repeated_until_the_node_is_given_up() -> None:
    """A lost event costs a second; a node that never answers is given up after the timeout."""
    roster = make_roster("web-1")

    assert list_events(roster, 10) == [0, 1, 3, 5, 7, 9]
    assert roster.is_open
    assert roster.advance(10) == DueActions()
    assert not roster.is_open
    assert (roster.exit_code("web-1"), roster.has_started("web-1")) == (None, False)


def test_acknowledged_node_gets_no_further_event() -> None:
    """Only those that did not answer are fired for again."""
    roster = make_roster("web-1", "web-2")
    roster.advance(0)
    roster.acknowledge("web-1", 0.2)

    assert roster.advance(1).fire == ["web-2"]


def test_late_acknowledgement_counts() -> None:
    """A node that answers after it was given up runs the command, so it is waited for while others are."""
    roster = make_roster("web-1", "web-2", ack_timeout=timedelta(seconds=2))
    roster.advance(0)
    roster.acknowledge("web-2", 0.2)
    roster.advance(2)
    roster.acknowledge("web-1", 3)
    roster.finish("web-2", 0)

    assert roster.is_open
    assert roster.finish("web-1", 3)
    assert (roster.is_open, roster.exit_code("web-1")) == (False, 3)


def test_signs_of_life_keep_a_node_running() -> None:
    """As long as its index moves, a node may run for ever."""
    roster = make_roster("web-1")
    roster.advance(0)
    roster.acknowledge("web-1", 0)
    for now in range(1, 1000):
        due = roster.advance(now)
        assert not due.fire
        for node in due.listen:
            roster.hear(node, now, now)

    assert roster.is_open


def test_silent_node_is_asked_anew_then_given_up() -> None:
    """After half of the timeout it is forgotten and its event fired again; the other half ends it."""
    roster = make_roster("web-1")
    roster.advance(0)
    roster.acknowledge("web-1", 0)
    asked = [now for now in range(1, 15) if roster.advance(now).listen]
    for _ in asked:
        roster.hear("web-1", 77, 0)  # the same index each time: nothing new

    assert asked == [5, 10]
    assert roster.advance(15) == DueActions(forget=["web-1"], fire=["web-1"])
    assert roster.is_open
    list_events(roster, 30, since=16)
    roster.advance(30)
    assert (roster.is_open, roster.has_started("web-1"), roster.exit_code("web-1")) == (False, True, None)


def test_silent_node_that_answers_runs_on() -> None:
    """An agent that had stopped reporting answers the second event, and later says how the command ended."""
    roster = make_roster("web-1")
    roster.advance(0)
    roster.acknowledge("web-1", 0)
    assert roster.advance(15).forget == ["web-1"]
    roster.acknowledge("web-1", 16)

    assert roster.advance(17) == DueActions()
    assert roster.finish("web-1", 4)
    assert roster.exit_code("web-1") == 4


def test_ambiguous_exit_code_is_believed_the_second_time() -> None:
    """An agent says 255 also when it failed to write a heartbeat, so the node is asked what really happened."""
    roster = make_roster("web-1", "web-2")
    roster.advance(0)
    assert not roster.finish("web-1", AMBIGUOUS_EXIT)
    assert not roster.finish("web-2", AMBIGUOUS_EXIT)
    assert roster.advance(0.5) == DueActions(forget=["web-1", "web-2"], fire=["web-1", "web-2"])

    assert roster.finish("web-1", AMBIGUOUS_EXIT)
    assert roster.finish("web-2", 0)
    assert (roster.exit_code("web-1"), roster.exit_code("web-2")) == (AMBIGUOUS_EXIT, 0)


def test_lost_session_queues_those_still_awaited() -> None:
    """What is known stays known; the others are fired for in the next session."""
    roster = make_roster("web-1", "web-2", "web-3", max_parallel=2)
    roster.advance(0)
    roster.finish("web-1", 3)
    roster.advance(1)
    roster.restart()

    assert roster.advance(2).fire == ["web-2", "web-3"]
    assert roster.exit_code("web-1") == 3


def test_summary_counts() -> None:
    """One line for the log."""
    roster = make_roster("web-1", "web-2", "web-3", "web-4", "web-5", max_parallel=4)
    roster.advance(0)
    roster.finish("web-1", 3)
    roster.finish("web-2", 0)
    roster.acknowledge("web-3", 0)

    assert roster.summary == "of 5 nodes 1 queued, 1 not acknowledged, 1 running, 2 exited (1 with an error)"


@dataclass(frozen=True)
class Agent:
    """A node that answers its first event so late or never, and exits so much later or dies then."""

    answers_after: float | None
    exits_after: float | None


late_or_never = st.one_of(st.none(), st.floats(0, 9))


@given(
    st.lists(st.builds(Agent, answers_after=late_or_never, exits_after=late_or_never), min_size=1, max_size=12),
    st.integers(1, 12),
)
def test_every_execution_ends_and_only_published_exits_count(fleet: Sequence[Agent], max_parallel: int) -> None:
    """Whatever agents do: it ends, exactly those that published an exit have one, and no more are active than may."""
    nodes = {f"web-{number}": agent for number, agent in enumerate(fleet)}
    roster = make_roster(*nodes, max_parallel=max_parallel)
    fired_at: dict[str, float] = {}
    now = 0.0
    while roster.is_open:
        assert now < 40 * len(fleet), "this should have ended"
        for name in roster.advance(now).fire:
            fired_at.setdefault(name, now)
        for name, at in fired_at.items():
            answer, run = nodes[name].answers_after, nodes[name].exits_after
            if answer is None or roster.exit_code(name) is not None:
                continue
            if run is not None and now - at >= answer + run:
                roster.finish(name, 0)
            elif now - at >= answer and not roster.has_started(name):
                roster.acknowledge(name, now)
        given_up_or_exited = sum(
            None in {nodes[name].answers_after, nodes[name].exits_after} or roster.exit_code(name) is not None
            for name in fired_at
        )
        assert len(fired_at) - given_up_or_exited <= max_parallel
        now += 0.5

    ended = {name for name, agent in nodes.items() if None not in {agent.answers_after, agent.exits_after}}
    assert {name for name in nodes if roster.exit_code(name) is not None} == ended
