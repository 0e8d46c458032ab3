"""What a simulated fleet consists of and what goes wrong in it, determined by a seed before it starts.

Pure: the same tiers, faults and seed give the same nodes, the same faults on them and runs that take the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from random import Random
from uuid import UUID, uuid5

from airflow_provider_chefconsul.domain.count import Count
from airflow_provider_chefconsul.domain.model.desired import Assignment
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.simulator.fault import OF_RUNS, Fault, Kind, parse_fault

LARGEST_TIER = 100_000
LONGEST_SECONDS = 1_000_000
_MACHINES = UUID("3f0c7a52-6d1e-4b8a-9c55-0a4a5e1d7c21")
_ENDS_OF_PRESENCE = frozenset({Kind.ABSENT, Kind.DIES, Kind.LEAVES})


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How one run of a node goes.

    :param fault: how it ends other than well; None when it succeeds and that is all. With ``dies`` it succeeds first.
    """

    seconds: float
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node, and what goes wrong with it."""

    node: str
    tier: str
    faults: tuple[Fault, ...]
    seconds: float
    spread: float
    seed: int

    @property
    def node_id(self) -> str:
        """Consul's id of its machine; with another seed it is another machine."""
        return str(uuid5(_MACHINES, f"{self.seed}:{self.node}"))

    def run(self, assignment: Assignment, *, has_rebooted: bool = False) -> RunPlan:
        """How a run of that assignment goes; of several faults that would end it, the first declared does.

        :param has_rebooted: whether a run of that assignment has already rebooted the node, which happens once.
        """
        kinds = OF_RUNS - {Kind.REBOOTS} if has_rebooted else OF_RUNS
        met = [fault for fault in self.faults if fault.kind in kinds and fault.condition.is_met_by(assignment)]
        drawn = Random(f"{self.seed}:{self.node}:{assignment.generation}").uniform(-self.spread, self.spread)  # noqa: S311
        seconds = self.seconds * (1 + drawn) + sum(fault.seconds for fault in met if fault.kind is Kind.SLOW)
        return RunPlan(seconds, next((fault for fault in met if fault.kind is not Kind.SLOW), None))

    def faults_of(self, kind: Kind) -> list[Fault]:
        """Its faults of one kind."""
        return [fault for fault in self.faults if fault.kind is kind]

    @property
    def is_there_at_start(self) -> bool:
        """Whether it is a member from the start."""
        return not self.faults_of(Kind.JOINS)


@dataclass(frozen=True)
class FleetPlan:
    """All nodes by name, in order."""

    nodes: Mapping[str, NodePlan]

    @cached_property
    def tiers(self) -> dict[str, list[NodePlan]]:
        """The nodes of each tier."""
        found: dict[str, list[NodePlan]] = {}
        for plan in self.nodes.values():
            found.setdefault(plan.tier, []).append(plan)
        return found


def plan_fleet(
    tiers: Mapping[str, int],
    faults: Iterable[str] = (),
    *,
    seed: int = 0,
    seconds: float = 1.0,
    spread: float = 0.2,
) -> FleetPlan:
    """Plan which nodes there are and what goes wrong with them.

    :param tiers: how many nodes each tier has; the nodes of ``web`` are named ``web-1``, ``web-2``, …
    :param faults: in the grammar of :data:`~airflow_provider_chefconsul.simulator.fault.GRAMMAR`.
    :param seconds: how long a run takes on average.
    :param spread: by what share of that a run may be shorter or longer.
    :raises InvalidInput: names the fault that cannot be read or whose node or tier does not exist, or the number.
    """
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise InvalidInput(f"seconds must be a number from 0 to {LONGEST_SECONDS}, not {seconds!r}")
    if not 0 <= spread <= 1:
        raise InvalidInput(f"spread must be a share from 0 to 1, not {spread!r}")
    names = _name_nodes(tiers)
    of_node: dict[str, list[Fault]] = {node: [] for nodes in names.values() for node in nodes}
    for text in faults:
        fault = parse_fault(text)
        for node in _choose(fault, names, seed):
            of_node[node].append(fault)
    for node, found in of_node.items():
        _check_order(node, found)
    return FleetPlan(
        {
            node: NodePlan(node, tier, tuple(of_node[node]), seconds, spread, seed)
            for tier, nodes in names.items()
            for node in nodes
        }
    )


def _name_nodes(tiers: Mapping[str, int]) -> dict[str, list[str]]:
    if not tiers:
        raise InvalidInput("a fleet needs at least one tier, such as web=3")
    for tier, size in tiers.items():
        check_name("tier", tier)
        if type(size) is not int or not 1 <= size <= LARGEST_TIER:
            raise InvalidInput(f"tier {tier} must have 1 to {LARGEST_TIER} nodes, not {size!r}")
        check_name("node", f"{tier}-{size}")
    names = {tier: [f"{tier}-{number}" for number in range(1, size + 1)] for tier, size in tiers.items()}
    seen: dict[str, str] = {}
    for tier, nodes in names.items():
        for node in nodes:
            if node in seen:
                raise InvalidInput(f"tiers {seen[node]} and {tier} would both have a node named {node}")
            seen[node] = tier
    return names


def _choose(fault: Fault, names: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """The nodes that a fault concerns."""
    sizes = ", ".join(f"{tier}-1 to {nodes[-1]}" if len(nodes) > 1 else nodes[0] for tier, nodes in names.items())
    if fault.nodes is not None:
        pattern = fault.nodes
        found = [node for nodes in names.values() for node in nodes if fnmatchcase(node, pattern)]
        if not found:
            raise InvalidInput(f"fault {fault.text!r}: there is no node {pattern}; the fleet has {sizes}")
        return found
    if fault.tier not in names:
        raise InvalidInput(f"fault {fault.text!r}: there is no tier {fault.tier}; the fleet has {', '.join(names)}")
    nodes = names[fault.tier]
    count = Count.parse(f"fault {fault.text!r}: the share", fault.share).at_least(len(nodes))
    if count > len(nodes):
        raise InvalidInput(f"fault {fault.text!r}: tier {fault.tier} has only {len(nodes)} nodes")
    chosen = set(Random(f"{seed}:{fault.text}").sample(nodes, count))  # noqa: S311 - repeatable, not secret
    return [node for node in nodes if node in chosen]


def _check_order(node: str, faults: Sequence[Fault]) -> None:
    """Refuse a node that returns and was never away, or whose faults contradict each other."""
    kinds = [fault.kind for fault in faults]
    for fault in faults:
        if fault.kind is Kind.RETURNS and not _ENDS_OF_PRESENCE.intersection(kinds):
            raise InvalidInput(
                f"fault {fault.text!r}: {node} never goes absent or leaves; say when, as '{node} goes absent at 10s'"
            )
        if fault.kind is Kind.JOINS and kinds.count(Kind.JOINS) > 1:
            raise InvalidInput(f"fault {fault.text!r}: {node} joins more than once")
        rhythms = [kind for kind in kinds if kind in {Kind.FLAPS, Kind.REBOOTS, *_ENDS_OF_PRESENCE}]
        if fault.kind is Kind.FLAPS and len(rhythms) > 1:
            raise InvalidInput(f"fault {fault.text!r}: {node} flaps; it cannot go absent in another way as well")
