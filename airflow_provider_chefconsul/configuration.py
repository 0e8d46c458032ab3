"""The options in section ``[chefconsul]`` of Airflow's configuration; ``provider_info`` says what each means.

They are read when they are used, so a test or a restart changes them. A connection's own field, and a parameter, come
before an option.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import conf

from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT
from airflow_provider_chefconsul.domain.parameter import parse_history_kept
from airflow_provider_chefconsul.exceptions import InvalidInput

_SECTION = "chefconsul"


def read_patience() -> timedelta:
    """How long tasks retry while Consul is unavailable; electing a leader has been seen to take 14 s.

    :raises InvalidInput: the option is not a number of seconds.
    """
    text = conf.get(_SECTION, "patience", fallback="60")
    try:
        patience = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        patience = timedelta(0)
    if patience <= timedelta(0):
        raise InvalidInput(f"[chefconsul] patience must be a number of seconds above zero, not {text!r}")
    return patience


def read_history_kept() -> int:
    """How many generations of each tier are kept.

    :raises InvalidInput: the option is not such a number.
    """
    return parse_history_kept(conf.get(_SECTION, "history_kept", fallback="50"))


def read_default_prefix() -> str:
    """The prefix of keys where a connection names none."""
    prefix: str = conf.get(_SECTION, "default_prefix", fallback=DEFAULT_ROOT)
    return prefix


def read_board_connection() -> str:
    """The connection that the board shows when it is opened from Airflow's menus."""
    connection_id: str = conf.get(_SECTION, "board_conn_id", fallback="consul_default")
    return connection_id
