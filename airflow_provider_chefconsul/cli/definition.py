"""The commands and their arguments. Every ``airflow`` command imports this, so it imports nothing that is heavy."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

from airflow_provider_chefconsul.cli.exit_code import MEANINGS

_PACKAGE = "airflow_provider_chefconsul.cli.commands"

ENVIRONMENT = Arg(("environment",), metavar="ENV", help="the environment")
TIER = Arg(("tier",), metavar="TIER", help="the tier")
TIERS = Arg(("tier",), metavar="TIER", nargs="+", help="one tier or several")
ANY_TIER = Arg(("tier",), metavar="TIER", nargs="?", help="the tier; all of the environment by default")
NODE = Arg(("node",), metavar="NODE", nargs="?", help="one node of the tier")
CONNECTION = Arg(("--conn-id",), default="consul_default", help="the Airflow connection to Consul (%(default)s)")
OUTPUT = Arg(("-o", "--output"), choices=("table", "json"), default="table", help="table for people, json for scripts")
MEMBERS = Arg(
    ("--members",),
    default="service",
    help="who belongs to the tiers: service (the Consul service named like the tier),\n"
    "service:NAME, meta:KEY=VALUE, or nodes separated by commas (%(default)s)",
)
WATCH = Arg(
    ("-w", "--watch"),
    action="store_true",
    help="go on showing it as it changes, until Ctrl-C; where the output is no terminal,\n"
    "print a line for each change, and with --output json an object on each line",
)
ALL = Arg(
    ("--all",),
    action="store_true",
    help="list every node of a large tier, not only those that hold it up",
)
STATE = Arg(("--state",), required=True, help="the state to declare")
VALUE = Arg(
    ("--value",),
    metavar="NAME=TEXT",
    action="append",
    default=[],
    help="a value that recipes read, always as text: --value release=2.5.0; may be repeated.\n"
    "What is not named is not declared: values are replaced as a whole",
)
VALUE_JSON = Arg(
    ("--value-json",),
    metavar="NAME=JSON",
    action="append",
    default=[],
    help="a value that is no text: --value-json replicas=3 (or true, null, 0.5)",
)
CANARY = Arg(
    ("--canary",),
    help="only for a part of each tier: a number of nodes, N%% of those present, or nodes by comma.\n"
    "100%% covers all but does not promote: leave --canary out to promote",
)
SPREAD = Arg(("--spread",), metavar="meta:KEY", help="take a canary's nodes from the values of that metadata by turns")
WAVES = Arg(
    ("--waves",),
    help="show a rollout in waves, such as 1,25%%,100%%: numbers of nodes and percentages",
)
ALLOWED_FROM = Arg(
    ("--allowed-from",),
    metavar="STATES",
    help="states that the tiers may be in now, separated by commas; none is a tier never declared",
)
SEQUENCE = Arg(
    ("--sequence",),
    help="the logical time of the write, in seconds since the epoch or as ISO 8601 (now)",
)
WITHOUT_MEMBERS = Arg(
    ("--without-members",),
    action="store_true",
    help="declare tiers although no node is there yet; refused else, since it may be a name mistyped",
)
FORCE = Arg(("--force",), action="store_true", help="make a new generation although nothing differs")
TO = Arg(("--to",), default="previous", help="previous, or a generation of the history (%(default)s)")
REASON = Arg(("--reason",), required=True, help="why; whoever loses the lease is told")
YES = Arg(("-y", "--yes"), action="store_true", help="do not ask")
WAIT = (
    Arg(("--wait",), action="store_true", help="also wait until the tiers have converged"),
    Arg(("--timeout",), metavar="DURATION", help="of --wait: how long at most, such as 90s, 30m or 2h (30m)"),
    Arg(("--min-converged",), metavar="COUNT", help="of --wait: how many of the members present, or N%% (100%%)"),
    Arg(("--max-failed",), metavar="COUNT", help="of --wait: how many may have failed, or N%% (0)"),
    Arg(("--max-lost",), metavar="COUNT", help="of --wait: how many may die or vanish in this, or N%% (0)"),
    Arg(
        ("--max-absent",),
        metavar="COUNT",
        help="of --wait: how many may be absent or have left, or N%%; they are not asked for (any number)",
    ),
    Arg(("--min-members",), metavar="N", help="of --wait: how many must really have converged (1)"),
    Arg(("--min-healthy-time",), metavar="DURATION", help="of --wait: how long all of this must hold (0s)"),
    Arg(("--progress-deadline",), metavar="DURATION", help="of --wait: how long no further node may converge"),
)
FLEET = (
    Arg(("environment",), metavar="ENV", nargs="?", default="demo", help="the environment (%(default)s)"),
    Arg(
        ("--tier",),
        metavar="TIER=COUNT",
        action="append",
        required=True,
        help="a tier and how many nodes it has, such as web=50: web-1 to web-50; may be repeated",
    ),
    Arg(
        ("--fault",),
        metavar="FAULT",
        action="append",
        default=[],
        help="who does what, such as 'web-7 fails in converged', '10%% of web are slow 20s' or\n"
        "'db-2 goes absent in off'; may be repeated. A fault that cannot be read shows the grammar",
    ),
    Arg(("--seed",), type=int, default=0, help="the same seed gives the same run (%(default)s)"),
    Arg(("--seconds",), type=float, default=1.0, help="how long a run takes on average (%(default)s)"),
    Arg(("--spread",), type=float, default=0.2, help="by how much of that runs differ, 0 to 1 (%(default)s)"),
)
_CHANGE = (STATE, VALUE, VALUE_JSON, CANARY, SPREAD, ALLOWED_FROM, SEQUENCE, MEMBERS, WITHOUT_MEMBERS, FORCE)


def get_commands() -> list[GroupCommand]:
    """Airflow calls this by the provider's metadata."""
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
                    "Say what holds a tier or a node up, and who can act",
                    (ENVIRONMENT, TIER, NODE, MEMBERS, OUTPUT),
                ),
                _command(
                    "plan", "Say what set would do, and write nothing", (ENVIRONMENT, TIERS, *_CHANGE, WAVES, OUTPUT)
                ),
                _command("set", "Declare the desired state of tiers", (ENVIRONMENT, TIERS, *_CHANGE, *WAIT, OUTPUT)),
                _command(
                    "rollback",
                    "Take tiers back, in reverse order with --wait",
                    (ENVIRONMENT, TIERS, TO, SEQUENCE, MEMBERS, *WAIT, OUTPUT),
                ),
                _command("history", "List what a tier was assigned, newest first", (ENVIRONMENT, TIER, OUTPUT)),
                _command(
                    "forget",
                    "Remove a tier: its desired state, reports, locks and history",
                    (ENVIRONMENT, TIER, MEMBERS, YES, OUTPUT),
                ),
                _command("simulate", "Simulate nodes to practise on, until Ctrl-C", FLEET),
                GroupCommand(
                    name="lease",
                    help="Show or break the lease of an environment",
                    subcommands=(
                        _command("show", "Show who holds an environment", (ENVIRONMENT, OUTPUT), module="lease"),
                        _command(
                            "break",
                            "Take an environment from its holder, whose writes stay refused",
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
