"""Events of nodes: Chef runs, their reports, and the machines."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_chefconsul.domain.model.report import NodeReport, RunError, Status, previous_status
from tests.domain.verdict.truth.world import SPOILT, Entry, Letter, Machine, Record, Run, World

_SUCCEEDED, _FAILED = Status.SUCCEEDED, Status.FAILED
_WHEN = "2026-11-22T08:00:00Z"  # nothing may depend on it
_LOST, _LATE = 0, 1  # two of twelve ways that a report may go; the others deliver it


def begin(world: World, choice: int, way: int) -> None:
    """A run begins and reports running."""
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
    _report(world, machine, Status.RUNNING, _find_record(world, machine).begin(machine.cached), way)


def succeed(world: World, choice: int, way: int) -> None:
    """A run succeeds."""
    machine = world.machine(choice)
    if machine.run is not None:
        _finish(world, machine, _SUCCEEDED, way)


def work(world: World, choice: int, way: int) -> None:
    """The next event towards success."""
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
    """A run is killed without a report."""
    world.machine(choice).run = None


def run_and_fail(world: World, choice: int, way: int) -> None:
    """A run begins and fails."""
    begin(world, choice, way)
    fail(world, choice, way)


def run_in_vain(world: World, choice: int, way: int) -> None:
    """A run begins and is cut off, with a report or without."""
    begin(world, choice, way)
    (interrupt if way % 2 else kill)(world, choice, way)


def run_alone(world: World, choice: int, way: int) -> None:
    """A run begins and is cut off while Consul is unavailable, and reports later."""
    machine = world.machine(choice)
    before, machine.is_cut = machine.is_cut, True
    run_in_vain(world, choice, way)
    machine.is_cut = before
    flush(world, choice, way)


def run_blind(world: World, choice: int, way: int) -> None:
    """A run fails before it has read its assignment."""
    machine = world.machine(choice)
    if machine.run is not None or not machine.is_up:
        return
    machine.run = Run(None, f"r{world.make()}")
    if not machine.is_reachable and machine.kept is not None:
        machine.run = None  # the kept report says more
        return
    _report(world, machine, _FAILED, Record(machine.node_id), way)  # replaces what was on record before
    machine.run = None


def die(world: World, choice: int, way: int) -> None:
    """The machine goes down; Consul may notice."""
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
    """The machine loses Consul, or reaches it again."""
    machine = world.machine(choice)
    machine.is_cut = not machine.is_cut
    if way % 2:
        notice(world, choice, way)


def notice(world: World, choice: int, way: int) -> None:
    """Consul's catalog learns whether the machine is alive, or that another machine has taken the name."""
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
    letter, machine.kept = machine.kept, None
    report, begun = letter.report, letter.record.begun
    if world.looks_late and report.is_unfinished and not letter.has_looked and begun is not None:
        previous = _find_previous(world, machine, begun)
        letter = Letter.of(replace(report, previous_status=previous), letter.record)
    world.post(machine.name, letter)


def arrive(world: World, choice: int, way: int) -> None:
    """A report that its sender had given up on arrives after all."""
    machine = world.machine(choice)
    if machine.flying:
        world.post(machine.name, machine.flying.pop(0))


def rebuild(world: World, choice: int, way: int) -> None:
    """Another machine takes the name; reports of the old one may still arrive."""
    old = world.machine(choice)
    if not old.tells_id or old.is_old:
        return  # nobody could tell
    new = Machine(old.name, f"m{world.make()}", flying=old.flying)
    new.is_up = bool(way % 3)
    world.machines[old.name] = new
    if way % 2:
        notice(world, choice, way)


def garble(world: World, choice: int, way: int) -> None:
    """A report becomes unreadable."""
    post = world.posts.get(world.machine(choice).name)
    if post is not None:
        world.post(world.machine(choice).name, replace(post.letter, text=SPOILT))


def is_by_other(letter: Letter, machine: Machine) -> bool:
    """Whether a machine can tell that it did not write a report."""
    return letter.report.is_of_other_machine(machine.node_id)


def _find_previous(world: World, machine: Machine, number: int) -> Status | None:
    """The ``previous_status`` of a new run on an assignment."""
    post = world.posts.get(machine.name)
    letter = machine.kept or (post.letter if post and not post.is_spoilt else None)
    if letter is None or machine.is_old or is_by_other(letter, machine):
        return None
    return previous_status(letter.report, world.assignments[number])


def _find_record(world: World, machine: Machine) -> Record:
    letter = world.last_letter(machine)
    return letter.record if letter else Record(machine.node_id)


def _finish(world: World, machine: Machine, status: Status, way: int) -> None:
    run = machine.run
    assert run is not None
    assert run.number is not None
    if status is _SUCCEEDED:
        record = Record(machine.node_id, has=run.number)
        machine.really_has = run.number
    elif status is _FAILED:
        record = Record(machine.node_id, failed=run.number)
        machine.really_has = None
    else:
        record = (run.record or _find_record(world, machine)).begin(run.number)
    _report(world, machine, status, record, way)
    machine.run = None


def _report(world: World, machine: Machine, status: Status, record: Record, way: int) -> None:
    """Report a run; without Consul, all reports but running are kept."""
    run = machine.run
    assert run is not None
    number = run.number
    can_look = machine.kept is not None or (machine.is_reachable and (world.looks_late or status is Status.RUNNING))
    if number is not None and run.record is None and can_look:
        run.previous, run.record = _find_previous(world, machine, number), _find_record(world, machine)
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
    letter, kind = Letter.of(report, record, has_looked=run.record is not None), way % 12
    is_kept = status is not Status.RUNNING
    if kind == _LOST:
        return
    if machine.is_reachable and kind != _LATE:
        machine.kept = None
        world.post(machine.name, letter)
        return
    if kind == _LATE and machine.is_reachable:
        machine.flying.append(letter)
    if is_kept:
        machine.kept = letter
