"""The arguments that commands take, each defined once. Every ``airflow`` command imports this module."""

from __future__ import annotations

from typing import Any

DEFAULT_CONNECTION = "consul_default"


class Argument:
    """An argument of a command: its flags, and what else argparse takes."""

    def __init__(self, flags: tuple[str, ...], **options: Any) -> None:
        self.flags = flags
        self.options = options


ENVIRONMENT = Argument(("environment",), metavar="ENV", help="the environment")
TIER = Argument(("tier",), metavar="TIER", help="the tier")
TIERS = Argument(("tier",), metavar="TIER", nargs="+", help="one tier or several")
ANY_TIER = Argument(("tier",), metavar="TIER", nargs="?", help="the tier (default: all tiers of the environment)")
NODE = Argument(("node",), metavar="NODE", nargs="?", help="one node of the tier")
LOCKS = Argument(
    ("--lock",),
    metavar="KEY",
    action="append",
    default=[],
    help="also say who holds a lock of the cookbook choregraphie, by its key; can be repeated",
)
CONNECTION = Argument(("--conn-id",), default=DEFAULT_CONNECTION, help="the Airflow connection to Consul (%(default)s)")
URL = Argument(
    ("--url",),
    help="the Consul to use instead: http[s]://HOST:PORT[?prefix=…&datacenter=…&verify=…&cert=…&key=…&wait=…];\n"
    "its ACL token is taken from CONSUL_HTTP_TOKEN",
)
OUTPUT = Argument(
    ("-o", "--output"),
    choices=("table", "json"),
    default="table",
    help="table for people, json for scripts (%(default)s)",
)
MEMBERS = Argument(
    ("--members",),
    default="service",
    help="the members of each tier: service (the Consul service named like the tier),\n"
    "service:NAME, meta:KEY=VALUE, or comma-separated node names (%(default)s)",
)
WATCH = Argument(
    ("-w", "--watch"),
    action="store_true",
    help="keep showing changes until Ctrl-C; if the output is not a terminal,\n"
    "print one line per change, or with --output json one object per line",
)
ALL = Argument(
    ("--all",),
    action="store_true",
    help="list every node of a large tier, not only those that have not converged",
)
STATE = Argument(("--state",), required=True, help="the state to declare")
VALUE = Argument(
    ("--value",),
    metavar="NAME=TEXT",
    action="append",
    default=[],
    help="a value for the recipes, always text: --value release=2.5.0; may be repeated.\n"
    "Values replace the previous ones as a whole",
)
VALUE_JSON = Argument(
    ("--value-json",),
    metavar="NAME=JSON",
    action="append",
    default=[],
    help="a value that is not text: --value-json replicas=3 (or true, null, 0.5)",
)
CANARY = Argument(
    ("--canary",),
    help="assign only part of each tier: a number of nodes, N%% of those present, or node names.\n"
    "100%% covers all nodes but does not promote; omit --canary to promote",
)
SPREAD = Argument(
    ("--spread",), metavar="meta:KEY", help="spread a canary evenly over the values of this node metadata"
)
PACE = (
    Argument(
        ("--slots",),
        metavar="COUNT",
        help="how many nodes may converge at one time: a number, or N%% of those present. Without it\n"
        "there is no limit; declaring the same with other slots changes only these",
    ),
    Argument(("--per",), metavar="meta:KEY", help="with --slots: as many for each value of this node metadata"),
    Argument(
        ("--spread-over",),
        metavar="DURATION",
        help="for how long watching nodes begin, one after the other, such as 5m",
    ),
)
WAVES = Argument(
    ("--waves",),
    help="plan a rollout in waves, such as 1,25%%,100%%: numbers of nodes or percentages",
)
WINDOW = (
    Argument(
        ("--window",),
        metavar="HOURS",
        action="append",
        default=[],
        help="hours of a change window, such as 'Mon-Thu 09:00-16:00': say when each wave could begin; may be repeated",
    ),
    Argument(("--timezone",), help="with --window: whose clock the hours are on, such as Europe/Berlin"),
    Argument(
        ("--holiday",),
        metavar="DATE",
        action="append",
        default=[],
        help="with --window: a day on which no hours begin, such as 2026-12-24; may be repeated",
    ),
    Argument(
        ("--wave-takes",),
        metavar="DURATION",
        help="with --window: how long a wave takes until the next one may begin, such as 45m (0s)",
    ),
)
ALLOWED_FROM = Argument(
    ("--allowed-from",),
    metavar="STATES",
    help="comma-separated states that the tiers may be in now; none means never declared",
)
SEQUENCE = Argument(
    ("--sequence",),
    help="the logical time of the write, in seconds since the epoch or ISO 8601 (default: now)",
)
WITHOUT_MEMBERS = Argument(
    ("--without-members",),
    action="store_true",
    help="declare tiers that have no nodes yet; otherwise refused, as it may be a mistyped name",
)
FORCE = Argument(("--force",), action="store_true", help="make a new generation even if nothing differs")
SOME_TIERS = Argument(("tier",), metavar="TIER", nargs="*", help="one tier or several (default: all, also later ones)")
TO = Argument(
    ("--to",),
    default="previous",
    help="previous; last-good, the newest earlier generation on which the whole tier converged, in the\n"
    "state that the tier is in; or a generation from the history (%(default)s)",
)
GOOD_STATE = Argument(("--state",), help="with --to last-good: the state of that generation")
PLANNED_STATE = Argument(
    ("--state",), help="the state to declare; with --rollback --to last-good, the state of that generation"
)
ROLLBACK = Argument(("--rollback",), action="store_true", help="show what rollback would do, not set")
PLANNED_TO = Argument(("--to",), help="with --rollback: as in rollback (previous)")
DESPITE_FREEZE = Argument(("--despite-freeze",), action="store_true", help="also roll back a frozen tier")
REASON = Argument(("--reason",), required=True, help="why; for the journal, and for those whom it concerns")
ANY_REASON = Argument(("--reason",), help="why; for the journal")
UNTIL = Argument(("--until",), help="when it ends by itself: a duration such as 2h, or ISO 8601 with an offset")
SINCE = Argument(("--since",), help="only what happened since: a duration such as 2h, or ISO 8601 with an offset")
JOURNAL_TIER = Argument(("--tier",), help="only what concerns this tier")
YES = Argument(("-y", "--yes"), action="store_true", help="do not ask for confirmation")
FREE = Argument(
    ("--free",),
    metavar="NODE",
    help="take this node's ticket away: it died inside, or its failure shall not hold the others up",
)
WAIT = (
    Argument(("--wait",), action="store_true", help="then wait until the tiers have converged"),
    Argument(("--timeout",), metavar="DURATION", help="with --wait: how long at most, such as 90s, 30m or 2h (30m)"),
    Argument(
        ("--min-converged",), metavar="COUNT", help="with --wait: how many of those present must converge (100%%)"
    ),
    Argument(("--max-failed",), metavar="COUNT", help="with --wait: how many may fail, or N%% (0)"),
    Argument(("--max-lost",), metavar="COUNT", help="with --wait: how many may be lost meanwhile, or N%% (0)"),
    Argument(
        ("--max-absent",),
        metavar="COUNT",
        help="with --wait: how many may be absent or have left, or N%% (any number)",
    ),
    Argument(("--min-members",), metavar="N", help="with --wait: how many must actually have converged (1)"),
    Argument(("--min-healthy-time",), metavar="DURATION", help="with --wait: how long the policy must hold (0s)"),
    Argument(("--progress-deadline",), metavar="DURATION", help="with --wait: fail if no node converges for this long"),
)
FLEET = (
    Argument(("environment",), metavar="ENV", nargs="?", default="demo", help="the environment (%(default)s)"),
    Argument(
        ("--tier",),
        metavar="TIER=COUNT",
        action="append",
        required=True,
        help="a tier and its number of nodes: web=50 makes web-1 to web-50; may be repeated",
    ),
    Argument(
        ("--fault",),
        metavar="FAULT",
        action="append",
        default=[],
        help="a fault to inject, such as 'web-7 fails in converged', '10%% of web are slow 20s' or\n"
        "'db-2 goes absent in off'; may be repeated. An invalid fault prints the grammar",
    ),
    Argument(("--seed",), type=int, default=0, help="the same seed gives the same run (%(default)s)"),
    Argument(("--seconds",), type=float, default=1.0, help="average duration of a run (%(default)s)"),
    Argument(("--spread",), type=float, default=0.2, help="how much durations vary, from 0 to 1 (%(default)s)"),
)
CHANGE = (VALUE, VALUE_JSON, CANARY, SPREAD, *PACE, ALLOWED_FROM, SEQUENCE, MEMBERS, WITHOUT_MEMBERS, FORCE)
