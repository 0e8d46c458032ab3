"""Rolling a little at a time: which members a canary takes next. Pure; the same members give the same answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from airflow_provider_chefconsul.domain.count import Count, parse_number
from airflow_provider_chefconsul.domain.model.canary import BUCKETS, rank, threshold
from airflow_provider_chefconsul.domain.model.desired import Assignment, Canary
from airflow_provider_chefconsul.domain.model.membership import Members
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.exceptions import InvalidInput

ALL = Count(100, is_percentage=True)


@dataclass(frozen=True, slots=True)
class NamedNodes:
    """Nodes that an author chose by name."""

    nodes: tuple[str, ...]

    def __str__(self) -> str:
        """The form that logs and errors use."""
        return ", ".join(self.nodes)


@dataclass(frozen=True, slots=True)
class Wave:
    """How much of a tier a canary is to cover.

    :param size: a number of members or a percentage of those present (rounded up), or nodes by name. A number above
        what there is means all.
    :param spread: a key of nodes' metadata, such as ``zone``: members are taken from its values by turns.
    """

    size: Count | NamedNodes
    spread: str | None = None

    @classmethod
    def parse(cls, canary: object, spread: object = None) -> Wave:
        """Read the ``canary`` and ``spread`` parameters of operators.

        :param canary: a number of at least 1, "1%" to "100%", or a list of nodes.
        :param spread: ``"meta:KEY"`` or None.
        :raises InvalidInput: names the parameter.
        """
        key = _parse_spread(spread)
        if isinstance(canary, (list, tuple)):
            if not canary:
                raise InvalidInput("canary is an empty list; name at least one node")
            if key:
                raise InvalidInput("spread has no meaning for a canary of named nodes")
            return cls(NamedNodes(tuple(dict.fromkeys(check_name("node", node) for node in canary))))
        number = parse_number(canary)
        size = Count.of(canary if number is None else number)
        if size is None or size.amount == 0:
            raise InvalidInput(
                f'canary must be a number of nodes from 1, "1%" to "100%", or a list of nodes, not {canary!r}'
            )
        return cls(size, key)

    @classmethod
    def parse_all(cls, waves: object, spread: object = None) -> list[Wave]:
        """Read the waves of a rollout, each wider than those before.

        Numbers and percentages cannot be compared before the members are known, so only waves of one kind are.

        :param spread: as in :meth:`parse`; it has no meaning for waves of named nodes and for all of the tier.
        :raises InvalidInput: names the waves.
        """
        if isinstance(waves, str) or not isinstance(waves, Sequence) or not waves:
            raise InvalidInput(f'waves must be a list such as [1, "10%", "100%"], not {waves!r}')
        parsed = [cls.parse(wave) for wave in waves]
        for narrow, wide in combinations(parsed, 2):
            if not _may_follow(narrow.size, wide.size):
                raise InvalidInput(f"waves only widen: {wide} comes after {narrow} in {list(waves)!r}")
        chosen = [wave for wave in parsed if not wave.is_all and isinstance(wave.size, Count)]
        return [replace(wave, spread=_parse_spread(spread)) if wave in chosen else wave for wave in parsed]

    @property
    def is_all(self) -> bool:
        """Whether it is the whole tier; as the last wave of a rollout it promotes."""
        return self.size == ALL

    @property
    def written(self) -> int | str | list[str]:
        """The ``canary`` parameter that an author wrote."""
        return list(self.size.nodes) if isinstance(self.size, NamedNodes) else self.size.written

    def __str__(self) -> str:
        """The form that logs and errors use."""
        return str(self.size)


@dataclass(frozen=True, slots=True)
class NoWave:
    """The wave cannot be had; ``reason`` says why."""

    reason: str


def _parse_spread(spread: object) -> str | None:
    if spread is None:
        return None
    kind, _, key = spread.partition(":") if isinstance(spread, str) else ("", "", "")
    if kind != "meta" or not key:
        raise InvalidInput(f'spread must be "meta:KEY", not {spread!r}')
    return key


def _may_follow(narrow: Count | NamedNodes, wide: Count | NamedNodes) -> bool:
    match narrow, wide:
        case NamedNodes(), NamedNodes():
            return set(narrow.nodes) < set(wide.nodes)
        case Count(), Count() if narrow.is_percentage == wide.is_percentage:
            return narrow.amount < wide.amount
        case _:
            return narrow != ALL


def plan_canary(
    assignment: Assignment, current: Canary | None, wave: Wave, members: Members, *, by_name: bool = False
) -> Canary | NoWave:
    """The canary that covers a wave of today's members, and everybody whom the current one covers.

    :param current: the canary of the same assignment that is out already; None begins one.
    :param by_name: name the nodes, and set no threshold, which would cover nodes that are no members, too.
    :returns: a canary equal to ``current`` when that covers the wave.
    """
    if current is None:
        current = Canary(assignment, salt=str(assignment.generation), threshold=0)
    present = [node for node, member in members.items() if member.is_present]
    if not present:
        return NoWave("no member is present, so a canary would prove nothing")
    match wave.size:
        case NamedNodes(nodes):
            return _add_named(current, nodes, members)
        case Count() if wave.is_all and not by_name:
            return replace(current, threshold=BUCKETS)
        case Count() as size:
            order = _order(present, wave.spread, current.salt, members)
            return _add_first(current, size.at_least(len(present)), order, members, by_name=by_name)


def _covered(canary: Canary, members: Members) -> set[str]:
    return {node for node in members if canary.has_node(node)}


def _add_named(canary: Canary, nodes: tuple[str, ...], members: Members) -> Canary | NoWave:
    unknown = sorted(set(nodes) - set(members))
    if unknown:
        return NoWave(f"canary names nodes that are not members of the tier: {', '.join(unknown)}")
    covered = _covered(canary, members)
    if covered >= set(nodes):
        return canary
    left = sorted(covered - set(nodes))
    if left:
        return NoWave(f"a canary can only widen: also name {', '.join(left)}, which it already covers")
    return replace(canary, nodes=tuple(dict.fromkeys((*canary.nodes, *nodes))))


def _add_first(canary: Canary, size: int, order: Sequence[str], members: Members, *, by_name: bool) -> Canary:
    """Widen a canary until it covers a number of members.

    :param order: the present members as waves take them.
    """
    covered = _covered(canary, members)
    left = [node for node in order if node not in covered]
    added = left[: max(0, size - len(covered))]
    if not added:
        return canary
    # A threshold where it says the same: nodes that join later then fall on the right side by themselves.
    wanted = max(canary.threshold, threshold(canary.salt, added, len(added)))
    by_threshold = replace(canary, threshold=wanted)
    if not by_name and _covered(by_threshold, members) == covered.union(added):
        return by_threshold
    return replace(canary, nodes=(*canary.nodes, *added))


def _order(nodes: Sequence[str], spread: str | None, salt: str, members: Members) -> list[str]:
    """Nodes in the order in which waves take them."""
    ranked = rank(salt, nodes)
    if spread is None:
        return ranked
    turns: dict[str, int] = defaultdict(int)
    by_turn = []
    for position, node in enumerate(ranked):
        zone = members[node].meta.get(spread, "")
        by_turn.append((turns[zone], position, node))
        turns[zone] += 1
    return [node for _, _, node in sorted(by_turn)]
