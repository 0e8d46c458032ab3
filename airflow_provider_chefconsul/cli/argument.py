"""Reading the arguments of commands; each error names the option."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from airflow_provider_chefconsul.cli.writer import who_writes
from airflow_provider_chefconsul.domain.count import parse_number
from airflow_provider_chefconsul.domain.model.membership import Selector, parse_members
from airflow_provider_chefconsul.domain.model.name import check_name, check_tiers
from airflow_provider_chefconsul.domain.model.values import Scalar, check_values
from airflow_provider_chefconsul.domain.moment import read_moment
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.change import Change, parse_change
from airflow_provider_chefconsul.domain.write.opening import AT_ONCE
from airflow_provider_chefconsul.domain.write.rollback import RollBack, parse_target
from airflow_provider_chefconsul.domain.write.sequence import parse_sequence
from airflow_provider_chefconsul.domain.write.wave import Wave
from airflow_provider_chefconsul.domain.write.window import ChangeWindow
from airflow_provider_chefconsul.exceptions import InvalidInput

_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_POLICY = ("min_converged", "max_failed", "max_lost", "max_absent", "min_members")
_OF_MEMBERS = ("wait", "canary", "waves")
_OF_ROLLBACK = ("to", "despite_freeze")
_OF_PACE = ("slots", "per", "spread_over")
_OF_WINDOW = ("timezone", "holiday", "wave_takes")
_OF_CHANGE = (
    "value",
    "value_json",
    "canary",
    "spread",
    *_OF_PACE,
    "waves",
    "allowed_from",
    "without_members",
    "force",
    "window",
)
_DURATIONS = ("timeout", "min_healthy_time", "progress_deadline")


def parse_tiers(args: Namespace) -> list[str]:
    """The tiers of a command that takes several, each once.

    :raises InvalidInput: names the text that is not a valid name.
    """
    return list(dict.fromkeys(check_tiers(args.environment, args.tier)))


def parse_selectors(args: Namespace, tiers: Iterable[str]) -> dict[str, Selector]:
    """By tier, its members.

    :raises InvalidInput: ``--members`` is malformed.
    """
    members: str | list[str] = args.members
    if args.members != "service" and ":" not in args.members:
        members = _split(args.members)
    return {tier: parse_members(members, tier) for tier in tiers}


def parse_change_arguments(args: Namespace, command: str) -> Change:
    """The change that ``plan`` plans and ``set`` makes.

    :raises InvalidInput: names the option.
    """
    if args.spread and not (args.canary or getattr(args, "waves", None)):
        raise InvalidInput("--spread requires --canary or --waves")
    if args.without_members and (others := [name for name in _OF_MEMBERS if getattr(args, name, None)]):
        raise InvalidInput(f"--without-members cannot be combined with --{others[0]}, which needs members")
    return parse_change(
        state=args.state,
        writer=who_writes(command),
        values=_parse_values(args.value, args.value_json),
        canary=None if args.canary is None else _parse_canary(args.canary),
        spread=None if args.canary is None else args.spread,
        allowed_from=_parse_allowed_from(args.allowed_from),
        sequence=parse_time(args),
        force=args.force,
        slots=args.slots,
        per=args.per,
        spread_over=None if args.spread_over is None else _parse_duration("spread_over", args.spread_over),
    )


def parse_rollback_arguments(args: Namespace, command: str) -> RollBack:
    """The rollback that ``plan --rollback`` plans and ``rollback`` makes.

    :raises InvalidInput: names the option.
    """
    if args.state is not None and args.to != "last-good":
        raise InvalidInput("--state requires --to last-good")
    return RollBack(
        who_writes(command),
        parse_target({None: "previous", "last-good": "last_good"}.get(args.to, args.to)),
        parse_time(args),
        state=None if args.state is None else check_name("state", args.state),
        despite_freeze=args.despite_freeze,
        reason=getattr(args, "reason", None) or "",
    )


def check_planned(args: Namespace) -> None:
    """Check that ``plan`` has options only of what it plans: of ``set``, or of ``rollback``.

    :raises InvalidInput: names the option.
    """
    if not args.rollback:
        if args.state is None:
            raise InvalidInput("--state is required: the state to declare; or --rollback")
        if others := [name for name in _OF_ROLLBACK if getattr(args, name)]:
            raise InvalidInput(f"{_option(others[0])} requires --rollback")
    elif others := [name for name in _OF_CHANGE if getattr(args, name)]:
        raise InvalidInput(f"{_option(others[0])} cannot be combined with --rollback")


def parse_waves(args: Namespace) -> list[Wave]:
    """The waves of ``--waves``; none without it.

    :raises InvalidInput: they do not widen, or another option forbids them.
    """
    if args.waves is None:
        return []
    if args.canary is not None:
        raise InvalidInput("--waves cannot be combined with --canary: a canary is a single wave")
    return Wave.parse_all(_split(args.waves), args.spread)


def parse_window(args: Namespace) -> ChangeWindow | None:
    """The change window of ``--window``; None without it.

    :raises InvalidInput: names the option, or what is wrong with the window.
    """
    if not args.window:
        if others := [name for name in _OF_WINDOW if getattr(args, name)]:
            raise InvalidInput(f"{_option(others[0])} requires --window")
        return None
    if args.timezone is None:
        raise InvalidInput("--window requires --timezone: whose clock the hours are on, such as Europe/Berlin")
    return ChangeWindow(*args.window, timezone=args.timezone, holidays=args.holiday)


def parse_wave_takes(args: Namespace) -> timedelta:
    """The duration of ``--wave-takes``, or none.

    :raises InvalidInput: it is not a duration.
    """
    return AT_ONCE if args.wave_takes is None else _parse_duration("wave_takes", args.wave_takes)


def parse_time(args: Namespace) -> int:
    """The logical time of a write: ``--sequence``, or now.

    :raises InvalidInput: it is not a time.
    """
    return parse_sequence(datetime.now(UTC) if args.sequence is None else args.sequence)


def parse_moment(option: str, text: str | None, *, ahead: bool, now: datetime) -> datetime | None:
    """A time: ISO 8601 with an offset, or how far from now, such as 2h; None without one.

    :param ahead: whether a duration lies in the future, not in the past.
    :raises InvalidInput: names the option.
    """
    if text is None:
        return None
    moment = _add(now, text, ahead=ahead) if _DURATION.fullmatch(text) else read_moment(text)
    if moment is None:
        raise InvalidInput(
            f"{option} must be a duration such as 2h, or a time with an offset such as 2026-12-01T08:00:00+01:00, "
            f"not {text!r}"
        )
    return moment


def parse_policy(args: Namespace) -> ConvergencePolicy | None:
    """The policy of ``--wait``; None without it.

    :raises InvalidInput: names the option.
    """
    given = {name: getattr(args, name) for name in (*_POLICY, *_DURATIONS) if getattr(args, name) is not None}
    if not args.wait:
        if given:
            raise InvalidInput(f"{_option(next(iter(given)))} requires --wait")
        return None
    for name, text in given.items():
        if name in _DURATIONS:
            given[name] = _parse_duration(name, text)
        elif (number := parse_number(text)) is not None:
            given[name] = number
    return ConvergencePolicy(**given)


def _parse_values(texts: Iterable[str], documents: Iterable[str]) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {}
    for option, pairs in (("--value", texts), ("--value-json", documents)):
        for pair in pairs:
            name, equals, text = pair.partition("=")
            if not name or not equals:
                raise InvalidInput(f"{option} must be NAME=VALUE, not {pair!r}")
            if name in values:
                raise InvalidInput(f"{option} {pair!r}: {name} is given twice")
            values[name] = text if option == "--value" else _parse_json(name, text)
    return check_values(values)


def _parse_json(name: str, text: str) -> Scalar:
    try:
        value: Scalar = json.loads(text)
    except ValueError as error:
        raise InvalidInput(
            f"--value-json {name}={text}: {text!r} is not JSON; for text use --value {name}={text}"
        ) from error
    return value


def _parse_canary(text: str) -> str | list[str]:
    return text if re.fullmatch(r"[-\d.]+%?", text) else _split(text)


def _parse_allowed_from(text: str | None) -> list[str | None] | None:
    return None if text is None else [None if state == "none" else state for state in _split(text)]


def _parse_duration(name: str, text: str) -> timedelta:
    if _DURATION.fullmatch(text):
        return _read_duration(text)
    raise InvalidInput(f"{_option(name)} must be a number with s, m, h or d, such as 30m, not {text!r}")


def _read_duration(text: str) -> timedelta:
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def _add(now: datetime, text: str, *, ahead: bool) -> datetime | None:
    """The time that lies a duration from now; None when no calendar has it."""
    try:
        return now + _read_duration(text) if ahead else now - _read_duration(text)
    except OverflowError:
        return None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _split(text: str) -> list[str]:
    return [each for part in text.split(",") if (each := part.strip())]
