"""The commands as Airflow's own command line has them: ``airflow chefconsul``."""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

from airflow_provider_chefconsul.cli.definition import COMMANDS, CommandEntry, CommandGroup
from airflow_provider_chefconsul.cli.exit_code import MEANINGS


def get_commands() -> list[CLICommand]:
    """Airflow finds this through the provider's metadata."""
    return [_make(COMMANDS)]


def _make(entry: CommandEntry | CommandGroup) -> CLICommand:
    match entry:
        case CommandGroup(name, help_text, commands):
            return GroupCommand(name=name, help=help_text, subcommands=[_make(each) for each in commands])
        case CommandEntry(name, help_text, arguments, path):
            args = [Arg(each.flags, **each.options) for each in arguments]
            return ActionCommand(name=name, help=help_text, func=lazy_load_command(path), args=args, epilog=MEANINGS)
