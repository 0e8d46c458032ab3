"""Child processes that end with the process that started them, and take their own children along.

Each child leads a process group of its own, so killing the group reaches a watch handler that an agent started,
and a Ctrl-C in the terminal reaches only the parent, which can then stop things in order.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

WATCHDOG = Path(__file__).with_name("watchdog.py")


class Processes:
    """A set of child processes; closing it kills those still running. Use it as a context manager."""

    def __init__(self) -> None:
        self._running: list[Process] = []
        self._lock = threading.Lock()
        self._watchdog: subprocess.Popen[str] | None = None

    def start(
        self, command: Sequence[str], *, log: Path, environment: Mapping[str, str], directory: Path | None = None
    ) -> "Process":
        """Start a command in a group of its own, without a terminal, its output appended to the file `log`."""
        with log.open("ab") as output:
            popen = subprocess.Popen(  # noqa: S603 - the caller's command
                command,
                cwd=directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = Process(popen, self)
        with self._lock:
            self._running.append(process)
            self._tell_watchdog(f"+{process.pid}\n")
        return process

    def forget(self, process: "Process") -> None:
        """Take an ended process off the list, before its number can be given to another one."""
        with self._lock:
            if process in self._running:
                self._running.remove(process)
                self._tell_watchdog(f"-{process.pid}\n")

    def close(self) -> None:
        """Kill what still runs, newest first, and end the watchdog."""
        for process in reversed(list(self._running)):
            process.kill()
        if self._watchdog is not None:
            with contextlib.suppress(BrokenPipeError):
                self._watchdog.communicate()
            self._watchdog = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell_watchdog(self, line: str) -> None:
        if self._watchdog is None:
            self._watchdog = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-I", "-S", str(WATCHDOG)], stdin=subprocess.PIPE, text=True, start_new_session=True
            )
        assert self._watchdog.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it was killed: we still stop everything ourselves
            self._watchdog.stdin.write(line)
            self._watchdog.stdin.flush()


class Process:
    """One child and its group, known by the pid that started it."""

    def __init__(self, popen: "subprocess.Popen[bytes]", owner: Processes) -> None:
        self._popen = popen
        self._owner = owner
        self._ended = False

    @property
    def pid(self) -> int:
        """The pid of the child, which is also the number of its group."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code as subprocess gives it, or None while the child runs; what it left behind is killed."""
        if not self._ended and self._popen.poll() is not None:
            self._end()
        return self._popen.returncode

    def kill(self) -> None:
        """Kill the group at once, as a power cut would, and wait until the child is gone."""
        if not self._ended:
            self._end()

    def stop(self) -> None:
        """Ask the child to end, give it 10 s, then kill its group with everything left in it."""
        if not self._ended:
            self._popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(10)
            self._end()

    def _end(self) -> None:
        """Kill the group; once only, since its number is free for others afterwards."""
        self._ended = True
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM when only a zombie is left
            os.killpg(self.pid, signal.SIGKILL)
        self._owner.forget(self)
        self._popen.wait()
