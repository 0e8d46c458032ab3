"""The commands. Every ``airflow`` command imports this module, so it must stay light."""

from __future__ import annotations

from typing import NamedTuple

from airflow_provider_chefconsul.cli.argument_definition import (
    ALL,
    ANY_REASON,
    ANY_TIER,
    CHANGE,
    CONNECTION,
    DESPITE_FREEZE,
    ENVIRONMENT,
    FLEET,
    FREE,
    GOOD_STATE,
    JOURNAL_TIER,
    LOCKS,
    MEMBERS,
    NODE,
    OUTPUT,
    PLANNED_STATE,
    PLANNED_TO,
    REASON,
    ROLLBACK,
    SEQUENCE,
    SINCE,
    SOME_TIERS,
    STATE,
    TIER,
    TIERS,
    TO,
    UNTIL,
    URL,
    WAIT,
    WATCH,
    WAVES,
    WINDOW,
    YES,
    Argument,
)

_PACKAGE = "airflow_provider_chefconsul.cli.commands"


class CommandEntry(NamedTuple):
    """A command.

    :param path: of the function to call, which is imported then.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...]
    path: str


class CommandGroup(NamedTuple):
    """Commands that share a first word."""

    name: str
    help: str
    commands: tuple[CommandEntry | CommandGroup, ...]


def _command(name: str, help_text: str, arguments: tuple[Argument, ...], *, module: str | None = None) -> CommandEntry:
    """The command ``name``: a function ``<name>_command`` in the module that is named like it, if no other is given."""
    path = f"{_PACKAGE}.{module or name}.{name}_command"
    return CommandEntry(name, help_text, (*arguments, CONNECTION, URL), path)


COMMANDS = CommandGroup(
    "chefconsul",
    "Show and change the desired states of environments in Consul",
    (
        _command(
            "status",
            "Show where the nodes of an environment stand",
            (ENVIRONMENT, ANY_TIER, MEMBERS, WATCH, ALL, OUTPUT),
        ),
        _command(
            "explain",
            "Explain what holds up a tier or a node, and who can act",
            (ENVIRONMENT, TIER, NODE, LOCKS, MEMBERS, OUTPUT),
        ),
        _command(
            "plan",
            "Show what set or rollback would do, without writing anything",
            (ENVIRONMENT, TIERS, PLANNED_STATE, *CHANGE, WAVES, *WINDOW, ROLLBACK, PLANNED_TO, DESPITE_FREEZE, OUTPUT),
        ),
        _command("set", "Declare the desired state of tiers", (ENVIRONMENT, TIERS, STATE, *CHANGE, *WAIT, OUTPUT)),
        _command(
            "rollback",
            "Roll tiers back; with --wait in reverse order",
            (ENVIRONMENT, TIERS, TO, GOOD_STATE, DESPITE_FREEZE, ANY_REASON, SEQUENCE, MEMBERS, *WAIT, OUTPUT),
        ),
        _command(
            "promote",
            "Give all nodes of a tier its canary's assignment now",
            (ENVIRONMENT, TIER, ANY_REASON, OUTPUT),
            module="steer",
        ),
        _command(
            "abort",
            "Roll a tier's canary back; its Dag run may begin no further wave",
            (ENVIRONMENT, TIER, REASON, OUTPUT),
            module="steer",
        ),
        _command(
            "freeze",
            "Keep tiers as they are: every write that would move one is refused or waits",
            (ENVIRONMENT, SOME_TIERS, REASON, UNTIL, OUTPUT),
        ),
        _command(
            "unfreeze",
            "End the freeze of tiers, or every freeze of an environment",
            (ENVIRONMENT, SOME_TIERS, ANY_REASON, OUTPUT),
            module="freeze",
        ),
        _command(
            "journal",
            "Show who did what in an environment, when and why",
            (ENVIRONMENT, JOURNAL_TIER, SINCE, OUTPUT),
        ),
        _command(
            "slots",
            "Show who holds a tier's slots and who waits for one; or free the slot of a node",
            (ENVIRONMENT, TIER, FREE, ANY_REASON, MEMBERS, OUTPUT),
        ),
        _command("history", "List a tier's generations and what became of them", (ENVIRONMENT, TIER, OUTPUT)),
        _command(
            "forget",
            "Remove a tier: its desired state, reports, locks and history",
            (ENVIRONMENT, TIER, MEMBERS, YES, OUTPUT),
        ),
        _command("simulate", "Simulate nodes to practise with, until Ctrl-C", FLEET),
        CommandGroup(
            "lease",
            "Show or break the lease of an environment",
            (
                _command("show", "Show who holds an environment", (ENVIRONMENT, OUTPUT), module="lease"),
                _command(
                    "break",
                    "Take an environment from its holder, whose writes are refused from then on",
                    (ENVIRONMENT, REASON, YES, OUTPUT),
                    module="lease",
                ),
            ),
        ),
    ),
)
