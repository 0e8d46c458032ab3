"""The console script ``chefconsul``: the same commands, in a process that needs no Airflow."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace, RawTextHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

from airflow_provider_chefconsul.cli.definition import COMMANDS, CommandEntry, CommandGroup
from airflow_provider_chefconsul.cli.exit_code import MEANINGS

_TOKEN = re.compile(r"(?<=//)[^/\s]*@")


class _DiscreetParser(ArgumentParser):
    """A parser whose errors, which repeat what was typed, show no token."""

    def error(self, message: str) -> NoReturn:
        super().error(_TOKEN.sub("…@", message))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command; ends the process with its exit code.

    :param arguments: default: those of the process.
    """
    args = make_parser().parse_args(arguments)
    module, _, name = args.path.rpartition(".")
    with _as_if_missing("httpx._main", "tornado"):
        run: Callable[[Namespace], NoReturn] = getattr(import_module(module), name)
    run(args)


@contextmanager
def _as_if_missing(*names: str) -> Iterator[None]:
    """Hide optional modules, which httpx and tenacity import where there are any: a quarter of a command's start."""
    hidden: dict[str, Any] = {name: None for name in names if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def make_parser() -> ArgumentParser:
    """The parser of all commands."""
    parser = _DiscreetParser(prog=COMMANDS.name, description=COMMANDS.help, formatter_class=RawTextHelpFormatter)
    parser.set_defaults(program=COMMANDS.name)
    _add_commands(parser, COMMANDS)
    return parser


def _add_commands(parser: ArgumentParser, group: CommandGroup) -> None:
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for entry in group.commands:
        epilog = MEANINGS if isinstance(entry, CommandEntry) else None
        below = subparsers.add_parser(
            entry.name, help=entry.help, description=entry.help, epilog=epilog, formatter_class=RawTextHelpFormatter
        )
        match entry:
            case CommandGroup():
                _add_commands(below, entry)
            case CommandEntry(arguments=expected, path=path):
                for each in expected:
                    below.add_argument(*each.flags, **each.options)
                below.set_defaults(path=path)


if __name__ == "__main__":
    main()
