"""What happens to nodes: Chef runs, what becomes of their reports, and what becomes of the machines."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_chefconsul.domain.model.report import NodeReport, RunError, Status, previous_status
from tests.domain.verdict.truth.world import SPOILT, Entry, Machine, Run, Said, Told, World

_SUCCEEDED, _FAILED = Status.SUCCEEDED, Status.FAILED
_WHEN = "2026-11-22T08:00:00Z"  # nothing may rest on it
_LOST, _LATE = 0, 1  # of twelve ways a report goes; the others are straight


def begin(world: World, choice: int, way: int) -> None:
    """A run begins, and says so."""
    machine = world.machine(choice)
    if machine.run is not None or not machine.is_up:
        return
    if machine.is_reachable:
        if world.declared is None or world.is_spoilt:
            return
        machine.cached = world.declared.number_for(machine.name)
    if machine.cached is None:
        return
    machine.run = Run(machine.cached, f"r{world.make()}")
    if machine.really_has != machine.cached:
        machine.really_has = None
    _say(world, machine, Status.RUNNING, _recorded(world, machine).begin(machine.cached), way)


def succeed(world: World, choice: int, way: int) -> None:
    """A run succeeds."""
    machine = world.machine(choice)
    if machine.run is not None:
        _finish(world, machine, _SUCCEEDED, way)


def work(world: World, choice: int, way: int) -> None:
    """Whatever comes next on the way to success."""
    machine = world.machine(choice)
    if machine.run is None:
        begin(world, choice, way)
    else:
        _finish(world, machine, _SUCCEEDED, way)


def fail(world: World, choice: int, way: int) -> None:
    """A run fails."""
    machine = world.machine(choice)
    if machine.run is not None:
        _finish(world, machine, _FAILED, way)


def interrupt(world: World, choice: int, way: int) -> None:
    """A run is cut off from outside."""
    machine = world.machine(choice)
    if machine.run is not None:
        _finish(world, machine, Status.INTERRUPTED, way)


def reboot(world: World, choice: int, way: int) -> None:
    """A run ends with a reboot, which Consul may notice."""
    machine = world.machine(choice)
    if machine.run is not None:
        _finish(world, machine, Status.REBOOTING, way)
        machine.is_up = False
        if way % 2:
            notice(world, choice, way)


def kill(world: World, choice: int, way: int) -> None:
    """A run ends without a word."""
    world.machine(choice).run = None


def run_and_fail(world: World, choice: int, way: int) -> None:
    """A whole run that fails."""
    begin(world, choice, way)
    fail(world, choice, way)


def run_in_vain(world: World, choice: int, way: int) -> None:
    """A run that begins and is cut off, with a word or without."""
    begin(world, choice, way)
    (interrupt if way % 2 else kill)(world, choice, way)


def run_alone(world: World, choice: int, way: int) -> None:
    """A run that begins and is cut off while Consul is away, and reports later."""
    machine = world.machine(choice)
    before, machine.is_cut = machine.is_cut, True
    run_in_vain(world, choice, way)
    machine.is_cut = before
    flush(world, choice, way)


def run_blind(world: World, choice: int, way: int) -> None:
    """A run fails before it has read what it is assigned."""
    machine = world.machine(choice)
    if machine.run is not None or not machine.is_up:
        return
    machine.run = Run(None, f"r{world.make()}")
    if not machine.is_reachable and machine.kept is not None:
        machine.run = None  # what is kept says more
        return
    _say(world, machine, _FAILED, Told(machine.node_id), way)  # what was known of it before is on record no longer
    machine.run = None


def die(world: World, choice: int, way: int) -> None:
    """The machine goes down; whether Consul notices is another matter."""
    machine = world.machine(choice)
    machine.is_up, machine.run = False, None
    if way % 2:
        notice(world, choice, way)


def start(world: World, choice: int, way: int) -> None:
    """The machine comes up."""
    machine = world.machine(choice)
    machine.is_up = True
    if way % 2:
        notice(world, choice, way)


def cut(world: World, choice: int, way: int) -> None:
    """The machine and Consul see each other no longer, or again."""
    machine = world.machine(choice)
    machine.is_cut = not machine.is_cut
    if way % 2:
        notice(world, choice, way)


def notice(world: World, choice: int, way: int) -> None:
    """Consul's catalog learns how the machine is; a machine that it has another of under that name is registered."""
    machine = world.machine(choice)
    entry = world.catalog.get(machine.name)
    if entry is not None and machine.is_reachable and entry.node_id != machine.node_id:
        world.catalog[machine.name] = Entry(machine.node_id)
    elif entry is not None:
        world.catalog[machine.name] = replace(entry, is_alive=machine.is_reachable and entry.node_id == machine.node_id)


def flush(world: World, choice: int, way: int) -> None:
    """The outbox is emptied, between runs."""
    machine = world.machine(choice)
    if not machine.is_reachable or machine.run is not None or machine.kept is None:
        return
    said, machine.kept = machine.kept, None
    report = said.report
    if world.looks_late and report.is_unfinished and not said.has_looked and said.told.begun is not None:
        said = Said.of(replace(report, previous_status=_find_previous(world, machine, said.told.begun)), said.told)
    world.post(machine.name, said)


def arrive(world: World, choice: int, way: int) -> None:
    """A report that was given up by its sender arrives after all."""
    machine = world.machine(choice)
    if machine.flying:
        world.post(machine.name, machine.flying.pop(0))


def rebuild(world: World, choice: int, way: int) -> None:
    """Another machine takes the name; what the old one has sent may still arrive."""
    old = world.machine(choice)
    if not old.tells_id or old.is_old:
        return  # nobody could know
    new = Machine(old.name, f"m{world.make()}", flying=old.flying)
    new.is_up = bool(way % 3)
    world.machines[old.name] = new
    if way % 2:
        notice(world, choice, way)


def garble(world: World, choice: int, way: int) -> None:
    """A report becomes one that nobody can read."""
    post = world.posts.get(world.machine(choice).name)
    if post is not None:
        world.post(world.machine(choice).name, replace(post.said, text=SPOILT))


def is_by_other(said: Said, machine: Machine) -> bool:
    """Whether a machine knows that it did not write a report itself."""
    return said.report.is_of_other_machine(machine.node_id)


def _find_previous(world: World, machine: Machine, number: int) -> Status | None:
    """What a new run on an assignment says of the one before."""
    post = world.posts.get(machine.name)
    said = machine.kept or (post.said if post and not post.is_spoilt else None)
    if said is None or machine.is_old or is_by_other(said, machine):
        return None
    return previous_status(said.report, world.assignments[number])


def _recorded(world: World, machine: Machine) -> Told:
    """What is true of a machine, as far as it is on record."""
    said = world.last_said(machine)
    return said.told if said else Told(machine.node_id)


def _finish(world: World, machine: Machine, status: Status, way: int) -> None:
    run = machine.run
    assert run is not None
    assert run.number is not None
    if status is _SUCCEEDED:
        told = Told(machine.node_id, has=run.number)
        machine.really_has = run.number
    elif status is _FAILED:
        told = Told(machine.node_id, failed=run.number)
        machine.really_has = None
    else:
        told = (run.told or _recorded(world, machine)).begin(run.number)
    _say(world, machine, status, told, way)
    machine.run = None


def _say(world: World, machine: Machine, status: Status, told: Told, way: int) -> None:
    """Report; away from Consul a report is kept but for one that a run begins."""
    run = machine.run
    assert run is not None
    number = run.number
    can_look = machine.kept is not None or (machine.is_reachable and (world.looks_late or status is Status.RUNNING))
    if number is not None and run.told is None and can_look:
        run.previous, run.told = _find_previous(world, machine, number), _recorded(world, machine)
    assignment = world.assignments[number] if number is not None else None
    report = NodeReport(
        node=machine.name,
        tier="web",
        generation=assignment.generation if assignment else None,
        state=assignment.state if assignment else None,
        status=status,
        run_id=run.id,
        started_at=_WHEN,
        error=RunError("Errno::ENOSPC", "No space left on device") if status is _FAILED else None,
        id=assignment.id if assignment and not machine.is_old else None,
        node_id=machine.node_id if machine.tells_id and not machine.is_old else None,
        previous_status=run.previous,
    )
    said, kind = Said.of(report, told, has_looked=run.told is not None), way % 12
    is_kept = status is not Status.RUNNING
    if kind == _LOST:
        return
    if machine.is_reachable and kind != _LATE:
        machine.kept = None
        world.post(machine.name, said)
        return
    if kind == _LATE and machine.is_reachable:
        machine.flying.append(said)
    if is_kept:
        machine.kept = said
