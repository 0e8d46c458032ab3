"""Children end when they should, in whatever way their parent ends."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_chefconsul.testing.processes import Process, Processes

# A child that starts a child of its own and ignores SIGTERM, as a shell that waits for a command does.
STUBBORN = ["/bin/sh", "-c", "trap '' TERM; sleep 60 & echo $! > grandchild; wait; wait"]


def is_alive(pid: int) -> bool:
    """Say whether a process of this number runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(status.strip()) and not status.startswith("Z")


def wait_for(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def start_stubborn(processes: Processes, directory: Path) -> tuple[Process, int]:
    """Start the child and give it and the pid of its child."""
    child = processes.start(STUBBORN, log=directory / "log", environment=os.environ, directory=directory)
    grandchild = directory / "grandchild"
    wait_for(lambda: grandchild.exists() and grandchild.read_text().strip())
    return child, int(grandchild.read_text())


def test_closing_kills_children_and_what_they_started(tmp_path: Path) -> None:
    """A group is killed whole, also where its leader ignores SIGTERM."""
    with Processes() as processes:
        child, grandchild = start_stubborn(processes, tmp_path)
        assert is_alive(child.pid)
    assert child.exit_code == -9
    wait_for(lambda: not is_alive(grandchild))


def test_stop_lets_a_child_end_by_itself_and_then_kills_its_group(tmp_path: Path) -> None:
    """A child that handles SIGTERM gives its own exit code; what it leaves behind is killed."""
    command = ["/bin/sh", "-c", "trap 'exit 7' TERM; sleep 60 & echo $! > grandchild; wait"]
    with Processes() as processes:
        child = processes.start(command, log=tmp_path / "log", environment=os.environ, directory=tmp_path)
        wait_for(lambda: (tmp_path / "grandchild").exists() and (tmp_path / "grandchild").read_text().strip())
        child.stop()
        assert child.exit_code == 7
        wait_for(lambda: not is_alive(int((tmp_path / "grandchild").read_text())))
        child.stop()
        child.kill()


def test_child_that_ended_by_itself_takes_its_group_along(tmp_path: Path) -> None:
    """Reading the exit code of an ended child kills what it left in the background; its output is in the log."""
    command = ["/bin/sh", "-c", "sleep 60 & echo $! > grandchild; echo said; exit 3"]
    with Processes() as processes:
        child = processes.start(command, log=tmp_path / "log", environment=os.environ, directory=tmp_path)
        wait_for(lambda: child.exit_code is not None)
        assert child.exit_code == 3
        assert (tmp_path / "log").read_text() == "said\n"
        wait_for(lambda: not is_alive(int((tmp_path / "grandchild").read_text())))


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no time to clean up: the watchdog does it."""
    program = (
        "import sys, time, pathlib, tests.testing.test_processes as t\n"
        "child, grandchild = t.start_stubborn(t.Processes(), pathlib.Path(sys.argv[1]))\n"
        "print(child.pid, grandchild, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        parent.kill()
    wait_for(lambda: not any(map(is_alive, pids)))
