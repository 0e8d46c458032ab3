"""Events that change a tier's desired state."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_chefconsul.domain.model.canary import threshold
from airflow_provider_chefconsul.domain.model.desired import Assignment, Canary
from tests.domain.verdict.truth.world import Declared, World
from tests.support.factory import make_desired


def declare(world: World, choice: int, way: int) -> None:
    """All nodes are assigned something new; this replaces a canary."""
    number = _assign(world, "off" if way % 4 == 0 else "converged")
    assignment = world.assignments[number]
    _write(world, Declared(make_desired(assignment.generation, stable=assignment), number))


def put_canary_out(world: World, choice: int, way: int) -> None:
    """Some nodes are assigned something new."""
    declared = world.declared
    if declared is None or world.is_spoilt:
        return
    number = _assign(world, "converged")
    assignment = world.assignments[number]
    canary = Canary(assignment, str(assignment.generation), 0)
    names = sorted(world.machines)
    if way % 2:
        canary = replace(canary, threshold=threshold(canary.salt, names, 1 + choice % len(names)))
    else:
        canary = replace(canary, nodes=(names[choice % len(names)],))
    document = make_desired(assignment.generation, stable=declared.document.stable, canary=canary)
    _write(world, Declared(document, declared.stable, number))


def widen(world: World, choice: int, way: int) -> None:
    """The canary covers one more node."""
    declared = world.declared
    if declared is None or declared.document.canary is None or world.is_spoilt:
        return
    canary = declared.document.canary
    more = replace(canary, nodes=(*canary.nodes, world.machine(choice).name))
    _write(world, replace(declared, document=replace(declared.document, canary=more)))


def promote(world: World, choice: int, way: int) -> None:
    """The canary's assignment becomes stable."""
    declared = world.declared
    if declared is None or declared.canary is None or declared.document.canary is None or world.is_spoilt:
        return
    document = replace(declared.document, stable=declared.document.canary.assignment, canary=None)
    _write(world, Declared(document, declared.canary))


def roll_back(world: World, choice: int, way: int) -> None:
    """The canary's nodes return to the stable assignment."""
    declared = world.declared
    if declared is not None and not world.is_spoilt:
        _write(world, Declared(replace(declared.document, canary=None), declared.stable))


def forget(world: World, choice: int, way: int) -> None:
    """The tier's keys are deleted: its generations restart at 1 with the next write."""
    world.declared, world.is_spoilt = None, False
    if way % 2:
        world.posts.clear()
    if way % 3:
        declare(world, choice, way)


def save(world: World, choice: int, way: int) -> None:
    """A snapshot of Consul's keys is taken."""
    world.saved = (world.declared, dict(world.posts))


def restore(world: World, choice: int, way: int) -> None:
    """A snapshot of Consul's keys is restored."""
    if world.saved is not None:
        world.declared, world.is_spoilt = world.saved[0], False
        world.posts = dict(world.saved[1])


def spoil(world: World, choice: int, way: int) -> None:
    """The desired state becomes unreadable, or is repaired."""
    world.is_spoilt = world.declared is not None and not world.is_spoilt


def _assign(world: World, state: str) -> int:
    number = world.make()
    generation = 1 if world.declared is None else world.declared.document.generation + 1
    assignment_id = f"{number:016x}" if world.writes_ids else None
    world.assignments[number] = Assignment(generation, state, {"release": f"2.{number}"}, assignment_id)
    return number


def _write(world: World, declared: Declared) -> None:
    world.index += 1
    world.declared, world.is_spoilt = declared, False
