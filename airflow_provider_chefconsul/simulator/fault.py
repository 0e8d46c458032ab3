"""Faults of simulated nodes: the grammar in which they are declared. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.exceptions import InvalidInput

GRAMMAR = """\
A fault is: WHO WHAT [in STATE] [with NAME=VALUE]
  WHO   a node (web-7), a pattern (web-*), or part of a tier, chosen by the seed (10% of web, 3 of web)
  WHAT  fails | hangs | is slow 20s | reports malformed    each run, or only runs with this state and value
        dies after converging                              its agent dies once such a run has reported success
        reboots 5s                                         such a run reports rebooting; 5s later the node is back
        goes absent | returns | joins | leaves             at a time (at 10s), or once this state is desired
        flaps every 5s                                     absent, back, absent, …
Durations are 500ms, 20s, 1.5s or 2m; times are relative to the start of the fleet."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_DURATION = r"\d{1,6}(?:\.\d{1,3})?(?:ms|s|m)"
_FAULT = re.compile(
    rf"""
    (?: (?P<share>\d{{1,6}}%?) \s+ of \s+ (?P<tier>{_NAME}) | (?P<nodes>[A-Za-z0-9*][A-Za-z0-9._*-]*) ) \s+
    (?: (?P<fails>fails?) | (?P<hangs>hangs?) | (?P<slow>(?:is|are)\s+slow) \s+ (?P<by>{_DURATION})
      | (?P<malformed>reports?\s+malformed)
      | (?P<dies>dies?\s+after\s+converging) | (?P<reboots>reboots?) \s+ (?P<away>{_DURATION})
      | (?P<absent>goe?s?\s+absent) | (?P<returns>returns?) | (?P<joins>joins?)
      | (?P<leaves>leaves?)
      | (?P<flaps>flaps?) \s+ every \s+ (?P<every>{_DURATION}) )
    (?: \s+ at \s+ (?P<at>{_DURATION}) )?
    (?: \s+ in \s+ (?P<state>{_NAME}) )?
    (?: \s+ with \s+ (?P<value>\S+=\S*) )?
    """,
    re.VERBOSE | re.ASCII,
)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


class UnreadableFault(InvalidInput):
    """A text is not a fault; shows the grammar.

    :param problem: names the text, and what is wrong with it.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}.\n{GRAMMAR}")
        self.problem = problem


class Kind(StrEnum):
    """What goes wrong; the first six concern a run, the others the node."""

    FAILS = "fails"
    HANGS = "hangs"
    SLOW = "slow"
    MALFORMED = "malformed"
    DIES = "dies"
    REBOOTS = "reboots"
    ABSENT = "absent"
    RETURNS = "returns"
    JOINS = "joins"
    LEAVES = "leaves"
    FLAPS = "flaps"


OF_RUNS = frozenset({Kind.FAILS, Kind.HANGS, Kind.SLOW, Kind.MALFORMED, Kind.DIES, Kind.REBOOTS})
OF_PRESENCE = frozenset({Kind.ABSENT, Kind.RETURNS, Kind.JOINS, Kind.LEAVES})


@dataclass(frozen=True, slots=True)
class Condition:
    """Which assignments a fault concerns: those with the state and the value, or all where neither is given."""

    state: str | None = None
    value: tuple[str, str] | None = None

    @property
    def is_given(self) -> bool:
        """Whether the author gave one."""
        return self.state is not None or self.value is not None

    def is_met_by(self, assignment: Assignment) -> bool:
        """Whether it concerns that assignment."""
        if self.state is not None and assignment.state != self.state:
            return False
        return self.value is None or _shown(assignment.values, self.value[0]) == self.value[1]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault as declared.

    :param nodes: a node or a pattern; None when the seed chooses ``share`` of the nodes of ``tier``.
    :param share: a number, or a percentage.
    :param seconds: how much longer a run takes, how long a node that reboots is away, or how long one that flaps stays
        present and absent.
    :param at: seconds after the start of the fleet; None where the condition says when.
    """

    text: str
    kind: Kind
    nodes: str | None = None
    share: int | str = 0
    tier: str = ""
    condition: Condition = Condition()
    seconds: float = 0.0
    at: float | None = None


def parse_fault(text: str) -> Fault:
    """Parse a fault.

    :raises UnreadableFault: names the text, says what is wrong with it and shows the grammar.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"a fault is a text such as 'web-7 fails in converged', not {text!r}")
    words = " ".join(text.split())
    match = _FAULT.fullmatch(words)
    if match is None:
        raise _unreadable(text, "")
    said = match.groupdict()
    kind = next(each for each in Kind if said[each] is not None)
    name, equals, value = (said["value"] or "").partition("=")
    condition = Condition(said["state"], (name, value) if equals else None)
    at = _seconds(said["at"])
    if kind in OF_PRESENCE and (at is None) is not condition.is_given:
        raise _unreadable(text, f"say when a node {_VERBS[kind]}: either 'at 10s' or 'in STATE', ")
    if kind in OF_RUNS and at is not None:
        raise _unreadable(text, f"a fault of a run takes no time; leave 'at {said['at']}' out, ")
    if kind is Kind.FLAPS and (at is not None or condition.is_given):
        raise _unreadable(text, "a node flaps from the start, in every state, ")
    length = _seconds(said["by"] or said["away"] or said["every"])
    if length == 0:
        raise _unreadable(text, "a duration must be above zero, ")
    share: int | str = said["share"] or 0
    if isinstance(share, str) and not share.endswith("%"):
        share = int(share)
    return Fault(words, kind, said["nodes"], share, said["tier"] or "", condition, length or 0.0, at)


_VERBS = {Kind.ABSENT: "goes absent", Kind.RETURNS: "returns", Kind.JOINS: "joins", Kind.LEAVES: "leaves"}


def _unreadable(text: str, why: str) -> UnreadableFault:
    return UnreadableFault(f"fault {text!r} cannot be read: {why}see the grammar")


def _seconds(duration: str | None) -> float | None:
    if duration is None:
        return None
    unit = duration.lstrip("0123456789.")
    return float(duration.removesuffix(unit)) * _SECONDS[unit]


def _shown(values: Mapping[str, object], name: str) -> str | None:
    """A value as authors write it: text unchanged, True as true."""
    if name not in values:
        return None
    value = values[name]
    return str(value).lower() if isinstance(value, bool) else str(value)
