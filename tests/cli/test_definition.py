"""What Airflow loads of the command line for each of its own commands."""

from __future__ import annotations

import subprocess
import sys

import pytest
from airflow.cli.cli_config import GroupCommand
from airflow.cli.cli_parser import get_parser

from airflow_provider_chefconsul.cli.airflow_commands import get_commands
from airflow_provider_chefconsul.cli.exit_code import MEANINGS, ExitCode


def commands(group):
    """Every command below a group, with its arguments."""
    for each in group.subcommands:
        if isinstance(each, GroupCommand):
            yield from ((f"{each.name} {words}", command) for words, command in commands(each))
        else:
            yield each.name, each


COMMANDS = dict(commands(get_commands()[0]))


def test_airflow_has_the_commands():
    """By the provider's metadata, not because the tests add them."""
    args = get_parser().parse_args(["chefconsul", "status", "demo"])
    assert (args.environment, args.tier, args.conn_id, args.output) == ("demo", None, "consul_default", "table")
    words = {
        "status",
        "explain",
        "plan",
        "set",
        "rollback",
        "promote",
        "abort",
        "freeze",
        "unfreeze",
        "journal",
        "history",
        "forget",
        "slots",
        "lease show",
        "lease break",
        "simulate",
    }
    assert set(COMMANDS) == words


@pytest.mark.parametrize("words", COMMANDS)
def test_help_says_the_exit_codes(words, capsys):
    """Of every command, so that nobody has to search for them."""
    with pytest.raises(SystemExit) as ended:
        get_parser().parse_args(["chefconsul", *words.split(), "--help"])
    assert ended.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    for code in ExitCode:
        assert f" {code.value} " in printed
    assert " ".join(MEANINGS.split()) in printed


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_a_function(words, airflow_chefconsul):
    """The lazy path of each command leads to a function."""
    given = {"plan": ("web", "--state", "off"), "set": ("web", "--state", "off"), "rollback": ("web",)}
    given |= {
        "explain": ("web",),
        "history": ("web",),
        "forget": ("web",),
        "promote": ("web",),
        "abort": ("web", "--reason", "x"),
        "freeze": ("--reason", "x"),
        "slots": ("web",),
        "lease break": ("--reason", "x"),
        "simulate": ("--tier", "web=1"),
    }
    ended = airflow_chefconsul(*words.split(), "de/mo", *given.get(words, ()))
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith("airflow chefconsul: error: environment 'de/mo' is not a name")


def test_definition_is_cheap():
    """Every `airflow` command imports it, so it loads only the table, the exit codes and the errors."""
    code = (
        "import sys\n"
        "import airflow.cli.cli_config\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_chefconsul.cli.airflow_commands\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    ours = "airflow_provider_chefconsul"
    assert f"{ours}.cli.airflow_commands" in printed.split()
    assert set(printed.split()) <= {
        ours, f"{ours}.cli", f"{ours}.cli.airflow_commands", f"{ours}.cli.argument_definition",
        f"{ours}.cli.definition", f"{ours}.cli.exit_code", f"{ours}.exceptions",
    }  # fmt: skip
