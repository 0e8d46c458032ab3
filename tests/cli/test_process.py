"""`airflow chefconsul` as its own process: terminals, signals and pipes. Each test costs some seconds of import."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.factory import make_desired, make_report

AIRFLOW = Path(sys.executable).parent / "airflow"
_PATIENCE = 60.0  # seconds
_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)")


@pytest.fixture
def tier(consul_connection, consul_kv, members, monkeypatch):
    """A tier of which one node has converged; the connection is in the environment of started processes."""
    monkeypatch.delenv("COLUMNS", raising=False)
    members("web-1", "web-2")
    consul_kv["demo/web/desired"] = make_desired(7).to_json()
    consul_kv["demo/web/nodes/web-1"] = make_report().to_json()


@pytest.fixture
def start(tier):
    """Start the command; it is killed if the test ends first."""
    started = []

    def start(*words, **options):
        started.append(subprocess.Popen([AIRFLOW, "chefconsul", *words], **options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_closed_pipe(start):
    """The reader is gone: no traceback, and the exit code of a command killed by SIGPIPE."""
    process = start("status", "demo", "--output", "json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(_PATIENCE) == 141


def test_watch_into_a_file_ends_with_ctrl_c(start, consul_kv):
    """A line for each change, flushed at once; 130, nothing on standard error."""
    process = start("status", "demo", "web", "--watch", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "; 1 of 2 members converged" in process.stdout.readline()
    assert "demo/web web-2: not reported" in process.stdout.readline()
    consul_kv["demo/web/nodes/web-2"] = make_report("web-2").to_json()
    assert "; 2 of 2 members converged" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(_PATIENCE) == 130
    assert process.stderr.read() == ""


def test_watch_of_what_is_not_there_waits(start, consul_kv):
    """Nothing is declared yet, as at the beginning of every rehearsal."""
    process = start("status", "new", "--watch", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "nothing is declared in new yet: airflow chefconsul set new TIER --state …" in process.stdout.readline()
    consul_kv["new/web/desired"] = make_desired(7).to_json()
    assert "; 0 of 2 members converged" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(_PATIENCE) == 130


class Terminal:
    """A terminal of 60 columns, and its output."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.written = ""

    def read_until(self, words):
        """Read until this text has come; an empty string reads to the end."""
        give_up = time.monotonic() + _PATIENCE
        while not words or words not in self.written:
            assert time.monotonic() < give_up, self.written
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    found = os.read(self.master, 65536)
                except OSError:  # the other side is closed
                    return
                self.written += found.decode()


@pytest.fixture
def terminal():
    """A pseudo-terminal."""
    made = Terminal()
    yield made
    os.close(made.master)


@pytest.mark.parametrize(("ending", "code", "is_plain"), [(signal.SIGINT, 130, False), (signal.SIGTERM, 143, True)])
def test_watch_on_a_terminal_leaves_it_clean(start, consul_kv, terminal, ending, code, is_plain):
    """It draws 60 columns wide on an alternate screen, and restores the old one; in colour unless NO_COLOR is set."""
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "60", "LINES": "20"}
    environment |= {"NO_COLOR": "1"} if is_plain else {}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave)
    process = start("status", "demo", "--watch", env=environment, start_new_session=True, **streams)
    os.close(terminal.slave)
    terminal.read_until("has never")  # in the last row
    assert "\x1b[?1049h" in terminal.written
    assert "\x1b[?1049l" not in terminal.written
    assert ("\x1b[32m" in terminal.written) is not is_plain
    consul_kv["demo/web/nodes/web-2"] = make_report("web-2").to_json()
    terminal.read_until("2 of 2 members")
    process.send_signal(ending)
    assert process.wait(_PATIENCE) == code
    terminal.read_until("")
    assert terminal.written.rstrip().endswith(("\x1b[?1049l\x1b[?25h", "\x1b[?25h\x1b[?1049l"))
    frames = terminal.written.replace("\x1b[H", "\n").replace("\r", "")  # each begins in the upper left corner
    drawn = _SEQUENCE.sub("", frames).splitlines()
    assert max(map(len, drawn)) <= 60
