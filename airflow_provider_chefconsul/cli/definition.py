"""The commands and their arguments. Every ``airflow`` command imports this module, so it must stay light."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

from airflow_provider_chefconsul.cli.exit_code import MEANINGS

_PACKAGE = "airflow_provider_chefconsul.cli.commands"

ENVIRONMENT = Arg(("environment",), metavar="ENV", help="the environment")
TIER = Arg(("tier",), metavar="TIER", help="the tier")
TIERS = Arg(("tier",), metavar="TIER", nargs="+", help="one tier or several")
ANY_TIER = Arg(("tier",), metavar="TIER", nargs="?", help="the tier (default: all tiers of the environment)")
NODE = Arg(("node",), metavar="NODE", nargs="?", help="one node of the tier")
CONNECTION = Arg(("--conn-id",), default="consul_default", help="the Airflow connection to Consul (%(default)s)")
OUTPUT = Arg(
    ("-o", "--output"),
    choices=("table", "json"),
    default="table",
    help="table for people, json for scripts (%(default)s)",
)
MEMBERS = Arg(
    ("--members",),
    default="service",
    help="the members of each tier: service (the Consul service named like the tier),\n"
    "service:NAME, meta:KEY=VALUE, or comma-separated node names (%(default)s)",
)
WATCH = Arg(
    ("-w", "--watch"),
    action="store_true",
    help="keep showing changes until Ctrl-C; if the output is not a terminal,\n"
    "print one line per change, or with --output json one object per line",
)
ALL = Arg(
    ("--all",),
    action="store_true",
    help="list every node of a large tier, not only those that have not converged",
)
STATE = Arg(("--state",), required=True, help="the state to declare")
VALUE = Arg(
    ("--value",),
    metavar="NAME=TEXT",
    action="append",
    default=[],
    help="a value for the recipes, always text: --value release=2.5.0; may be repeated.\n"
    "Values replace the previous ones as a whole",
)
VALUE_JSON = Arg(
    ("--value-json",),
    metavar="NAME=JSON",
    action="append",
    default=[],
    help="a value that is not text: --value-json replicas=3 (or true, null, 0.5)",
)
CANARY = Arg(
    ("--canary",),
    help="assign only part of each tier: a number of nodes, N%% of those present, or node names.\n"
    "100%% covers all nodes but does not promote; omit --canary to promote",
)
SPREAD = Arg(("--spread",), metavar="meta:KEY", help="spread a canary evenly over the values of this node metadata")
WAVES = Arg(
    ("--waves",),
    help="plan a rollout in waves, such as 1,25%%,100%%: numbers of nodes or percentages",
)
ALLOWED_FROM = Arg(
    ("--allowed-from",),
    metavar="STATES",
    help="comma-separated states that the tiers may be in now; none means never declared",
)
SEQUENCE = Arg(
    ("--sequence",),
    help="the logical time of the write, in seconds since the epoch or ISO 8601 (default: now)",
)
WITHOUT_MEMBERS = Arg(
    ("--without-members",),
    action="store_true",
    help="declare tiers that have no nodes yet; otherwise refused, as it may be a mistyped name",
)
FORCE = Arg(("--force",), action="store_true", help="make a new generation even if nothing differs")
TO = Arg(("--to",), default="previous", help="previous, or a generation from the history (%(default)s)")
REASON = Arg(("--reason",), required=True, help="why; shown to the Dag run that loses the lease")
YES = Arg(("-y", "--yes"), action="store_true", help="do not ask for confirmation")
WAIT = (
    Arg(("--wait",), action="store_true", help="then wait until the tiers have converged"),
    Arg(("--timeout",), metavar="DURATION", help="with --wait: how long at most, such as 90s, 30m or 2h (30m)"),
    Arg(("--min-converged",), metavar="COUNT", help="with --wait: how many of those present must converge (100%%)"),
    Arg(("--max-failed",), metavar="COUNT", help="with --wait: how many may fail, or N%% (0)"),
    Arg(("--max-lost",), metavar="COUNT", help="with --wait: how many may be lost meanwhile, or N%% (0)"),
    Arg(
        ("--max-absent",),
        metavar="COUNT",
        help="with --wait: how many may be absent or have left, or N%% (any number)",
    ),
    Arg(("--min-members",), metavar="N", help="with --wait: how many must actually have converged (1)"),
    Arg(("--min-healthy-time",), metavar="DURATION", help="with --wait: how long the policy must hold (0s)"),
    Arg(("--progress-deadline",), metavar="DURATION", help="with --wait: fail if no node converges for this long"),
)
FLEET = (
    Arg(("environment",), metavar="ENV", nargs="?", default="demo", help="the environment (%(default)s)"),
    Arg(
        ("--tier",),
        metavar="TIER=COUNT",
        action="append",
        required=True,
        help="a tier and its number of nodes: web=50 makes web-1 to web-50; may be repeated",
    ),
    Arg(
        ("--fault",),
        metavar="FAULT",
        action="append",
        default=[],
        help="a fault to inject, such as 'web-7 fails in converged', '10%% of web are slow 20s' or\n"
        "'db-2 goes absent in off'; may be repeated. An invalid fault prints the grammar",
    ),
    Arg(("--seed",), type=int, default=0, help="the same seed gives the same run (%(default)s)"),
    Arg(("--seconds",), type=float, default=1.0, help="average duration of a run (%(default)s)"),
    Arg(("--spread",), type=float, default=0.2, help="how much durations vary, from 0 to 1 (%(default)s)"),
)
_CHANGE = (STATE, VALUE, VALUE_JSON, CANARY, SPREAD, ALLOWED_FROM, SEQUENCE, MEMBERS, WITHOUT_MEMBERS, FORCE)


def get_commands() -> list[GroupCommand]:
    """Airflow finds this through the provider's metadata."""
    return [
        GroupCommand(
            name="chefconsul",
            help="Show and change the desired states of environments in Consul",
            subcommands=(
                _command(
                    "status",
                    "Show where the nodes of an environment stand",
                    (ENVIRONMENT, ANY_TIER, MEMBERS, WATCH, ALL, OUTPUT),
                ),
                _command(
                    "explain",
                    "Explain what holds up a tier or a node, and who can act",
                    (ENVIRONMENT, TIER, NODE, MEMBERS, OUTPUT),
                ),
                _command(
                    "plan",
                    "Show what set would do, without writing anything",
                    (ENVIRONMENT, TIERS, *_CHANGE, WAVES, OUTPUT),
                ),
                _command("set", "Declare the desired state of tiers", (ENVIRONMENT, TIERS, *_CHANGE, *WAIT, OUTPUT)),
                _command(
                    "rollback",
                    "Roll tiers back; with --wait in reverse order",
                    (ENVIRONMENT, TIERS, TO, SEQUENCE, MEMBERS, *WAIT, OUTPUT),
                ),
                _command("history", "List a tier's generations, newest first", (ENVIRONMENT, TIER, OUTPUT)),
                _command(
                    "forget",
                    "Remove a tier: its desired state, reports, locks and history",
                    (ENVIRONMENT, TIER, MEMBERS, YES, OUTPUT),
                ),
                _command("simulate", "Simulate nodes to practise with, until Ctrl-C", FLEET),
                GroupCommand(
                    name="lease",
                    help="Show or break the lease of an environment",
                    subcommands=(
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
    ]


def _command(name: str, help_text: str, args: Iterable[Arg], *, module: str | None = None) -> ActionCommand:
    """The command ``name``: a function ``<name>_command`` in the module that is named like it, if no other is given."""
    return ActionCommand(
        name=name,
        help=help_text,
        func=lazy_load_command(f"{_PACKAGE}.{module or name}.{name}_command"),
        args=(*args, CONNECTION),
        epilog=MEANINGS,
    )
