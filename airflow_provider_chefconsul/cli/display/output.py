"""What commands print: lines, tables and JSON on standard output, errors and progress on standard error."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from rich.console import Console, RenderableType
from rich.text import Text

from airflow_provider_chefconsul.domain.text import one_line

AIRFLOW_PROGRAM = "airflow chefconsul"
_WIDTH_OF_FILES = 160  # columns, without a terminal


class Output:
    """Where a command prints.

    Whatever comes from Consul is made printable here, so that no report can move the cursor or pass for markup.

    :param is_json: whether standard output is only for JSON; lines then go to standard error.
    :param program: what to call this program.
    """

    def __init__(self, *, is_json: bool = False, program: str = AIRFLOW_PROGRAM) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot print "…" must not end the command
                stream.reconfigure(errors="backslashreplace")
        self.is_json = is_json
        self.program = program
        width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else _WIDTH_OF_FILES
        self.console = _Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False)

    def line(self, text: str, *, style: str = "", indent: int = 0) -> None:
        """Print one line, however wide the terminal is."""
        line = " " * indent + one_line(text)
        if self.is_json:
            _write(sys.stderr, line)
        else:
            self.console.print(Text(line, style), soft_wrap=True)

    def show(self, content: RenderableType) -> None:
        """Print a table; in a file or a pipe, without the spaces that fill its columns at the end of lines."""
        if self.console.is_terminal:
            self.console.print(content)
            return
        with self.console.capture() as captured:
            self.console.print(content)
        for line in captured.get().splitlines():
            self.console.out(line.rstrip(), highlight=False)

    def document(self, fields: Mapping[str, Any], *, is_one_line: bool = False) -> None:
        """Print JSON."""
        _write(sys.stdout, json.dumps(fields, indent=None if is_one_line else 2))

    def error(self, text: str, *, explanation: str = "") -> None:
        """Print an error on standard error, with an explanation below it."""
        _write(sys.stderr, f"{self.program}: error: {one_line(text)}" + (f"\n{explanation}" if explanation else ""))

    def silence(self) -> None:
        """Discard all further output, including Python's last flush: the reader is gone."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Console(Console):
    """A console that raises an error on a closed pipe."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def _write(stream: Any, line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()
