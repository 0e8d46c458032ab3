"""Events in Consul's catalog."""

from __future__ import annotations

from tests.domain.verdict.truth.world import Entry, World


def leave(world: World, choice: int, way: int) -> None:
    """A node is removed from the catalog; its machine may continue to run."""
    machine = world.machine(choice)
    world.catalog.pop(machine.name, None)
    if way % 2:
        machine.is_up, machine.run = False, None


def join(world: World, choice: int, way: int) -> None:
    """A reachable machine registers."""
    machine = world.machine(choice)
    if machine.is_reachable and machine.name not in world.catalog:
        world.catalog[machine.name] = Entry(machine.node_id, has_service=bool(way % 4))


def switch_service(world: World, choice: int, way: int) -> None:
    """A node's service is removed from the catalog or comes back."""
    machine = world.machine(choice)
    entry = world.catalog.get(machine.name)
    if entry is not None:
        world.touch(machine, has_service=not entry.has_service)


def switch_health(world: World, choice: int, way: int) -> None:
    """A check of a node's service fails or passes again."""
    machine = world.machine(choice)
    entry = world.catalog.get(machine.name)
    if entry is not None:
        world.touch(machine, is_sick=not entry.is_sick)
