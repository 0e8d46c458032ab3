"""Rolling a little at a time: which members a canary takes next. Pure; the same members give the same answer."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from airflow_provider_chefconsul.domain.count import Count, ceiling_of, parse_number
from airflow_provider_chefconsul.domain.model.canary import BUCKETS, bucket, rank
from airflow_provider_chefconsul.domain.model.desired import Assignment, Canary
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.exceptions import InvalidInput

ALL = "100%"
_PERCENT = re.compile(r"[1-9]\d?%|100%")


@dataclass(frozen=True, slots=True)
class Wave:
    """How much of a tier a canary is to cover.

    :param size: a number of members, a percentage of those present (rounded up), or nodes by name. A number above what
        there is means all.
    :param spread: a key of nodes' metadata, such as ``zone``: members are taken from its values by turns.
    """

    size: Count | tuple[str, ...]
    spread: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether it is the whole tier; as the last wave of a rollout it promotes."""
        return self.size == ALL

    def __str__(self) -> str:
        """The form that authors write."""
        return ", ".join(self.size) if isinstance(self.size, tuple) else str(self.size)


@dataclass(frozen=True, slots=True)
class NoWave:
    """The wave cannot be had; ``reason`` says why."""

    reason: str


def parse_wave(canary: object, spread: object = None) -> Wave:
    """Read the ``canary`` and ``spread`` parameters of operators.

    :param canary: a number of at least 1, "1%" to "100%", or a list of nodes.
    :param spread: ``"meta:KEY"`` or None.
    :raises InvalidInput: names the parameter.
    """
    key = None
    if spread is not None:
        kind, _, key = spread.partition(":") if isinstance(spread, str) else ("", "", "")
        if kind != "meta" or not key:
            raise InvalidInput(f'spread must be "meta:KEY", not {spread!r}')
    if isinstance(canary, (list, tuple)):
        if not canary:
            raise InvalidInput("canary is an empty list; name at least one node")
        if key:
            raise InvalidInput("spread has no meaning for a canary of named nodes")
        return Wave(tuple(dict.fromkeys(check_name("node", node) for node in canary)))
    number = parse_number(canary)
    size = canary if number is None else number
    if (type(size) is int and size > 0) or (isinstance(size, str) and _PERCENT.fullmatch(size)):
        return Wave(size, key)
    raise InvalidInput(f'canary must be a number of nodes from 1, "1%" to "100%", or a list of nodes, not {canary!r}')


def check_waves(waves: Sequence[object], spread: object = None) -> list[Wave]:
    """The waves of a rollout, each wider than those before.

    Numbers and percentages cannot be compared before the members are known, so only waves of one kind are.

    :param spread: as in :func:`parse_wave`; it has no meaning for waves of named nodes and for all of the tier.
    :raises InvalidInput: names the waves.
    """
    if isinstance(waves, str) or not isinstance(waves, Sequence) or not waves:
        raise InvalidInput(f'waves must be a list such as [1, "10%", "100%"], not {waves!r}')
    parsed = [parse_wave(wave) for wave in waves]
    for narrow, wide in combinations(parsed, 2):
        if not _may_follow(narrow.size, wide.size):
            raise InvalidInput(f"waves only widen: {wide} comes after {narrow} in {list(waves)!r}")
    return [wave if wave.is_all or isinstance(wave.size, tuple) else parse_wave(wave.size, spread) for wave in parsed]


def _may_follow(narrow: Count | tuple[str, ...], wide: Count | tuple[str, ...]) -> bool:
    match narrow, wide:
        case int(), int():
            return narrow < wide
        case str(), str():
            return int(narrow[:-1]) < int(wide[:-1])
        case tuple(), tuple():
            return set(narrow) < set(wide)
        case _:
            return narrow != ALL


@dataclass(frozen=True, slots=True)
class _Choice:
    """A canary's nodes as a document says them."""

    threshold: int = 0
    nodes: tuple[str, ...] = field(default=())

    def covers(self, salt: str, members: Iterable[str]) -> set[str]:
        return {node for node in members if node in self.nodes or bucket(salt, node) < self.threshold}


def plan_canary(
    assignment: Assignment, standing: Canary | None, wave: Wave, members: Members, *, by_name: bool = False
) -> Canary | NoWave:
    """The canary that covers a wave of today's members, and everybody whom the standing one covers.

    :param standing: the canary of the same assignment that is out already; None begins one.
    :param by_name: name the nodes, and set no threshold, which would cover nodes that are no members, too.
    :returns: a canary equal to ``standing`` when that covers the wave.
    """
    salt = standing.salt if standing else str(assignment.generation)
    choice = _Choice(standing.threshold, standing.nodes) if standing else _Choice()
    present = [node for node, member in members.items() if member.is_present]
    if not present:
        return NoWave("no member is present, so a canary would tell nothing")
    covered = choice.covers(salt, members)
    if isinstance(wave.size, tuple):
        found = _name_nodes(choice, covered, wave.size, members)
    else:
        found = _count_nodes(choice, covered, wave, salt, members, by_name=by_name)
    if isinstance(found, NoWave):
        return found
    return Canary(assignment, salt, found.threshold, found.nodes)


def _name_nodes(choice: _Choice, covered: set[str], nodes: tuple[str, ...], members: Members) -> _Choice | NoWave:
    unknown = sorted(set(nodes) - set(members))
    if unknown:
        return NoWave(f"canary names {', '.join(unknown)}, which the tier does not have")
    if covered >= set(nodes):
        return choice
    left = sorted(covered - set(nodes))
    if left:
        return NoWave(f"a canary only widens, and {', '.join(left)} of the one that is out is not named")
    return _Choice(choice.threshold, tuple(dict.fromkeys((*choice.nodes, *nodes))))


def _count_nodes(
    choice: _Choice, covered: set[str], wave: Wave, salt: str, members: Members, *, by_name: bool
) -> _Choice:
    assert not isinstance(wave.size, tuple)
    if wave.size == ALL and not by_name:
        return _Choice(BUCKETS, choice.nodes)
    present = [node for node, member in members.items() if member.is_present]
    size = ceiling_of(wave.size, len(present))
    order = [node for node in _order(present, wave.spread, salt, members) if node not in covered]
    added = order[: max(0, size - len(covered))]
    if not added:
        return choice
    wanted = covered.union(added)
    # A threshold where it says the same: nodes that join later then fall on the right side by themselves.
    by_threshold = _Choice(max(choice.threshold, *(bucket(salt, node) + 1 for node in added)), choice.nodes)
    if not by_name and by_threshold.covers(salt, members) == wanted:
        return by_threshold
    return _Choice(choice.threshold, (*choice.nodes, *added))


def _order(nodes: Sequence[str], spread: str | None, salt: str, members: Members) -> list[str]:
    """Nodes in the order in which waves take them."""
    ranked = rank(salt, nodes)
    if spread is None:
        return ranked
    turns: dict[str, int] = defaultdict(int)
    by_turn = []
    for place, node in enumerate(ranked):
        zone = members[node].meta.get(spread, "")
        by_turn.append((turns[zone], place, node))
        turns[zone] += 1
    return [node for _, _, node in sorted(by_turn)]
