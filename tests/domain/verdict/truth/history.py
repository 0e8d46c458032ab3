"""Histories: made at random from a seed, run, and shrunk if they show a fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from tests.domain.verdict.truth import catalog, node, tier
from tests.domain.verdict.truth.waiter import Waiter, minutes
from tests.domain.verdict.truth.world import Entry, Machine, World
from tests.support.factory import NOW

_EVENTS: dict[str, tuple[Callable[[World, int, int], None], int]] = {
    "work": (node.work, 50),
    "begin": (node.begin, 14),
    "succeed": (node.succeed, 10),
    "fail": (node.fail, 16),
    "interrupt": (node.interrupt, 4),
    "reboot": (node.reboot, 3),
    "kill": (node.kill, 4),
    "run and fail": (node.run_and_fail, 6),
    "run in vain": (node.run_in_vain, 8),
    "run alone": (node.run_alone, 3),
    "run blind": (node.run_blind, 2),
    "die": (node.die, 6),
    "start": (node.start, 10),
    "cut": (node.cut, 6),
    "notice": (node.notice, 12),
    "flush": (node.flush, 6),
    "arrive": (node.arrive, 3),
    "rebuild": (node.rebuild, 4),
    "garble": (node.garble, 3),
    "leave": (catalog.leave, 3),
    "join": (catalog.join, 8),
    "switch service": (catalog.switch_service, 6),
    "switch health": (catalog.switch_health, 4),
    "declare": (tier.declare, 4),
    "put canary out": (tier.put_canary_out, 4),
    "widen": (tier.widen, 2),
    "promote": (tier.promote, 3),
    "roll back": (tier.roll_back, 3),
    "forget": (tier.forget, 2),
    "save": (tier.save, 2),
    "restore": (tier.restore, 2),
    "spoil": (tier.spoil, 1),
}
_WAITER = {"await": 16, "try again": 10, "restart": 8, "outage": 3}
_NAMES = (*_EVENTS, *_WAITER)
_WEIGHTS = (*(weight for _, weight in _EVENTS.values()), *_WAITER.values())
_LONGEST = 60  # events


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens, some seconds later; ``is_seen`` if the waiter observes the tier after it."""

    name: str
    choice: int
    way: int
    seconds: int
    is_seen: bool


@dataclass(frozen=True, slots=True)
class History:
    """A tier, a policy, and a list of events.

    :param old: the nodes that have an old client; such a tier is in the weaker class.
    :param silent: the nodes that cannot read their machine's id.
    """

    names: tuple[str, ...]
    policy: ConvergencePolicy
    events: tuple[Event, ...]
    old: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    writes_ids: bool = True
    is_listed: bool = False

    @classmethod
    def make(cls, seed: int) -> History:
        """The history of a seed; one in five is in the weaker class."""
        random = Random(seed)
        names = tuple(f"web-{number}" for number in range(1, random.randint(1, 4) + 1))
        is_weak = random.random() < 0.2
        share = random.choice([0.1, 0.2, 0.5, 0.9, 1.0])
        is_lenient = random.random() < 0.3  # few must converge, but none may fail
        counts = [0, 0, 0, 0, 1, 1, 2, "34%", "50%", "100%"]
        policy = ConvergencePolicy(
            min_converged=random.choice([0, 1, "50%"] if is_lenient else ["100%", "100%", "100%", 0, 1, 2, "60%"]),
            max_failed=0 if is_lenient else random.choice(counts),
            max_lost=random.choice(counts),
            max_absent=random.choice([None, None, None, *counts]),
            min_members=random.choice([1, 1, 1, 2]),
            min_healthy_time=timedelta(seconds=random.choice([0, 0, 0, 5, 20])),
            progress_deadline=random.choice([None, None, None, timedelta(seconds=40), minutes(2)]),
            timeout=minutes(random.choice([1, 5, 30])),
        )
        # Each history has some events often and some never, so that rare combinations occur more often.
        weights = [weight * random.choice([0, 1, 1, 4]) for weight in _WEIGHTS]
        weights[0] = _WEIGHTS[0]
        chosen = random.choices(_NAMES, weights, k=random.randint(5, _LONGEST))
        same = random.choice([0.2, 0.6, 0.8])
        events, choice = [], 0
        for name in chosen:
            choice = choice if random.random() < same else random.randrange(24)
            way, seconds = random.randrange(24), random.randrange(8)
            events.append(Event(name, choice, way, seconds, random.random() < share))
        return cls(
            names,
            policy,
            tuple(events),
            old=frozenset(name for name in names if is_weak and random.random() < 0.5),
            silent=frozenset(name for name in names if random.random() < 0.2),
            writes_ids=not is_weak or random.random() < 0.5,
            is_listed=random.random() < 0.15,
        )

    @property
    def is_weak(self) -> bool:
        """Whether a client or writer of an older version takes part."""
        return bool(self.old) or not self.writes_ids

    def run(self) -> Waiter:
        """Run all events, then let the world settle; returns the waiter with its tally."""
        world = World((*self.names, "web-9") if self.is_listed and len(self.names) > 2 else None, self.writes_ids)
        if self.is_listed and len(self.names) <= 2:
            world.listed = self.names
        for name in self.names:
            machine = Machine(name, f"m{world.make()}", name in self.old, name not in self.silent)
            world.machines[name] = machine
            world.catalog[name] = Entry(machine.node_id)
        tier.declare(world, 0, 1)
        waiter, now = Waiter(self.policy, self.is_weak), NOW
        waiter.begin(world, now, 1, 1)
        for event in self.events:
            now += timedelta(seconds=event.seconds)
            match event.name:
                case "await":
                    waiter.begin(world, now, event.choice, event.way)
                case "try again":
                    waiter.try_again(world, now)
                case "restart":
                    waiter.restart()
                case "outage":
                    waiter.suffer_outage()
                case name:
                    _EVENTS[name][0](world, event.choice, event.way)
            if event.is_seen:
                if waiter.wait is None and event.way % 2:
                    waiter.begin(world, now, event.choice, event.way)
                waiter.look(world, now)
        _settle(world)
        for _ in range(3):
            now += timedelta(seconds=21)
            waiter.look(world, now)
        return waiter


def _settle(world: World) -> None:
    """Everything broken is repaired, and every node runs once more."""
    if world.is_spoilt:
        tier.spoil(world, 0, 0)
    for choice, name in enumerate(sorted(world.machines)):
        machine = world.machines[name]
        machine.is_up, machine.is_cut, machine.flying, machine.run = True, False, [], None
        for happen in (node.notice, catalog.join, node.flush, node.begin, node.succeed):
            happen(world, choice, 2)


def run_many(seeds: Iterator[int] | range) -> tuple[Counter[str], list[tuple[int, str, str]]]:
    """Run the histories of seeds; returns the tally, and each fault as seed, kind and text."""
    tally: Counter[str] = Counter()
    faults = []
    for seed in seeds:
        history = History.make(seed)
        waiter = history.run()
        tally["histories"] += 1
        tally["histories of the weaker class"] += history.is_weak
        tally += waiter.tally
        faults += [(seed, kind, text) for kind, text in waiter.faults]
    return tally, faults


def shrink(history: History, kind: str) -> History:
    """The smallest history found that still shows a fault of the kind."""

    def shows(candidate: History) -> bool:
        return any(found == kind for found, _ in candidate.run().faults)

    size = max(1, len(history.events) // 2)
    while True:
        smaller = _find_smaller(history, size, shows)
        if smaller is not None:
            history = smaller
        elif size > 1:
            size //= 2
        else:
            return history


def _find_smaller(history: History, size: int, shows: Callable[[History], bool]) -> History | None:
    events: Sequence[Event] = history.events
    for start in range(0, len(events), size):
        candidate = replace(history, events=(*events[:start], *events[start + size :]))
        if shows(candidate):
            return candidate
    return None
