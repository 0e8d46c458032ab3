"""The guard's shell, run as an agent would run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.nudge.guard import LONGEST_COMMAND, guarded
from airflow_provider_chefconsul.nudge.result import LONGEST_OUTPUT
from tests.support.waiting import wait_until

NOBODY = 65534
IS_ROOT = os.geteuid() == 0
USER = NOBODY if IS_ROOT else os.geteuid()


class Node:
    """A node on which an unprivileged user, who may not write to /run, runs guarded commands."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self.base = temporary / f"chefconsul-{USER}"
        self.log = temporary / "log"

    def start(
        self, command: str, *, job_id: str = "job", attempt: int = 1, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a job as an agent would."""
        return subprocess.Popen(
            guarded(job_id, command, attempt=attempt),
            env={"PATH": os.environ["PATH"], "TMPDIR": str(self.temporary), "LOG": str(self.log), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            **({"user": NOBODY, "group": NOBODY, "extra_groups": []} if IS_ROOT else {}),
        )

    def run(self, command: str, **options: Any) -> tuple[int, str]:
        """Run a job to its end: exit code and output."""
        with self.start(command, **options) as process:
            output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def read_log(self) -> str:
        """What jobs wrote to the file $LOG."""
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def node() -> Iterator[Node]:
    """A node with a temporary directory that everybody may write to."""
    temporary = Path(tempfile.mkdtemp(prefix="guard-"))
    temporary.chmod(0o1777)
    yield Node(temporary)
    shutil.rmtree(temporary, ignore_errors=True)  # what a job has left running may write at this moment


@pytest.mark.parametrize(
    ("command", "expected"), [("true", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("exit", 0)]
)
def test_exit_code_is_the_commands(node: Node, command: str, expected: int) -> None:
    """The guard exits as the command did, and so does each of its duplicates."""
    assert [node.run(command)[0] for _ in range(3)] == [expected] * 3


def test_a_duplicate_repeats_code_and_output_without_running(node: Node) -> None:
    """The command runs once; what it printed in failing is printed again."""
    command = 'echo ran >>"$LOG"; echo out; echo err >&2; exit 3'

    assert [node.run(command), node.run(command)] == [(3, "out\nerr\n")] * 2
    assert node.read_log() == "ran\n"


def test_a_duplicate_waits_for_the_running_command(node: Node) -> None:
    """Duplicates that start while the command runs end after it, with its exit code."""
    command = 'echo begin >>"$LOG"; sleep 1; echo end >>"$LOG"; exit 4'
    processes = [node.start(command) for _ in range(4)]

    assert [process.wait(timeout=60) for process in processes] == [4] * 4
    assert node.read_log() == "begin\nend\n"
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()


def test_another_job_and_another_command_run(node: Node) -> None:
    """Only the same command under the same job id is the same job."""
    commands = ['echo one >>"$LOG"', 'echo two >>"$LOG"']

    assert [node.run(command, job_id=job)[0] for job in ("a", "b") for command in commands] == [0] * 4
    assert node.read_log() == "one\ntwo\none\ntwo\n"


def test_output_is_only_the_end_and_only_of_failures(node: Node) -> None:
    """Success prints nothing, a failure the last bytes."""
    assert node.run("seq 100000") == (0, "")
    code, output = node.run("seq 100000; exit 1")

    assert (code, len(output), output.splitlines()[-1]) == (1, LONGEST_OUTPUT, "100000")


def test_a_background_process_holds_neither_exit_nor_lock(node: Node) -> None:
    """What the command leaves behind keeps its output open: the guard exits, and so does a duplicate."""
    command = 'sleep 300 & echo $! >"$LOG"'
    try:
        assert [node.run(command), node.run(command)] == [(0, ""), (0, "")]
    finally:
        subprocess.run(["kill", node.read_log().strip()], check=True)


def test_a_killed_run_is_not_repeated(node: Node) -> None:
    """When guard and command were killed, nobody knows how far they came: a duplicate fails rather than starts anew."""
    command = 'echo ran >>"$LOG"; kill -9 $PPID; exit 0'
    code, _ = node.run(command)
    duplicate, output = node.run(command)

    assert (code, duplicate) == (-9, 137)
    assert "killed before it ended" in output
    assert node.read_log() == "ran\n"


def test_a_later_attempt_runs_what_has_ended_again(node: Node) -> None:
    """If it failed, and once: its duplicates, and late events of an earlier attempt, repeat its exit code."""
    command = 'echo ran >>"$LOG"; exit $(wc -l <"$LOG")'

    assert [node.run(command, attempt=attempt)[0] for attempt in (1, 1, 2, 2, 1, 3)] == [1, 1, 2, 2, 2, 3]


def test_a_later_attempt_does_not_repeat_a_success_of_this_minute(node: Node) -> None:
    """It ended after the attempt had chosen the node; a success that is older left the node as it is now."""
    command = 'echo ran >>"$LOG"'
    assert [node.run(command, attempt=attempt)[0] for attempt in (1, 2)] == [0, 0]
    assert node.read_log() == "ran\n"
    [rc] = node.base.glob("*/rc")
    two_minutes_ago = time.time() - 120
    os.utime(rc, (two_minutes_ago, two_minutes_ago))
    assert node.run(command, attempt=2)[0] == 0
    assert node.read_log() == "ran\nran\n"


def test_a_later_attempt_waits_for_what_still_runs(node: Node) -> None:
    """An earlier attempt that was given up, such as by a lost worker, is not run twice."""
    command = 'echo ran >>"$LOG"; while [ ! -e "$LOG.go" ]; do sleep 0.05; done'
    earlier = node.start(command)
    wait_until(lambda: node.read_log() == "ran\n")
    later = node.start(command, attempt=2)
    wait_until(lambda: ["flock", "9"] in [child.cmdline() for child in psutil.Process(later.pid).children()])
    node.log.with_name("log.go").touch()

    assert [process.communicate(timeout=60) and process.returncode for process in (earlier, later)] == [0, 0]
    assert node.read_log() == "ran\n"


def test_a_later_attempt_repeats_what_was_killed(node: Node) -> None:
    """How far it came is unknown; whoever makes another attempt wants it done."""
    command = 'echo ran >>"$LOG"; [ -e "$LOG.again" ] || { touch "$LOG.again"; kill -9 $PPID; }; exit 0'

    assert [node.run(command)[0], node.run(command, attempt=2)[0]] == [-9, 0]
    assert node.read_log() == "ran\nran\n"


def test_environment_and_umask_are_untouched(node: Node) -> None:
    """The command sees the agent's environment, umask and working directory, and no descriptor of the guard."""
    command = 'printf "%s " "$cc" "$PWD" "$#" "$(umask)"; [ -e /proc/self/fd/9 ] && echo leaked; exit 1'

    assert node.run(f"umask; {command}", env={"cc": "kept"}) == (1, "0022\nkept / 0 0022 ")


def test_missing_flock_is_said(node: Node, tmp_path: Path) -> None:
    """Without flock nothing can be guarded, so nothing runs."""
    code, output = node.run('echo ran >>"$LOG"', env={"PATH": "/nowhere"})

    assert code == 127
    assert "flock is missing on this node" in output
    assert node.read_log() == ""


def test_directory_belongs_to_the_user_alone(node: Node) -> None:
    """Nobody else may look at or replace what the guard keeps; a directory that was too open is closed."""
    assert node.run("true")[0] == 0
    assert (node.base.stat().st_mode & 0o777, node.base.stat().st_uid) == (0o700, USER)

    node.base.chmod(0o777)
    assert node.run("exit 1")[0] == 1
    assert node.base.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "kind", ["link", "file", *(["foreign"] if IS_ROOT else [])]
)  # only root can make a foreign one
def test_hijacked_directory_is_refused(node: Node, kind: str) -> None:
    """A link, a file or somebody else's directory in the directory's place: nothing runs, and the message names it."""
    match kind:
        case "link":
            elsewhere = node.temporary / "elsewhere"
            elsewhere.mkdir()
            os.chown(elsewhere, USER, -1)
            node.base.symlink_to(elsewhere)
        case "file":
            node.base.touch()
        case _:
            node.base.mkdir(mode=0o777)
    code, output = node.run('echo ran >>"$LOG"')

    assert code == 126
    assert str(node.base) in output
    assert node.read_log() == ""


def test_old_jobs_are_cleaned(node: Node) -> None:
    """A job's directory goes after a day, unless it still runs."""
    assert node.run("true", job_id="ended")[0] == 0
    (ended,) = node.base.iterdir()
    with node.start('echo $$ >"$LOG"; exec sleep 20', job_id="running"):
        while not node.read_log().strip():
            time.sleep(0.01)
        (kept,) = set(node.base.iterdir()) - {ended}
        for directory in (ended, kept):
            os.utime(directory, (0, 0))
        assert node.run("true", job_id="next")[0] == 0
        while ended.exists():  # it is removed in the background
            time.sleep(0.01)
        assert kept.exists()
        subprocess.run(["kill", node.read_log().strip()], check=True)


@pytest.mark.parametrize("command", ["x" * (LONGEST_COMMAND + 1), "echo \0"])
def test_impossible_command_is_refused(command: str) -> None:
    """What no Linux could start is said before it is sent."""
    with pytest.raises(InvalidInput, match="cannot be started"):
        guarded("job", command)


def test_longest_command_starts(node: Node) -> None:
    """The limit is the kernel's."""
    command = "exit 3 #"
    assert node.run(command.ljust(LONGEST_COMMAND, "x"))[0] == 3
