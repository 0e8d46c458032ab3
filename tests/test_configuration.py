"""The options of `[chefconsul]`: what Airflow lists is what works."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul import configuration
from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT
from airflow_provider_chefconsul.consul.plan import HISTORY_KEPT
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.operators.desired_state import SetDesiredStateOperator
from airflow_provider_chefconsul.provider_info import get_provider_info
from tests.support.airflow_home import make_context

READERS = {
    "patience": configuration.read_patience,
    "history_kept": configuration.read_history_kept,
    "default_prefix": configuration.read_default_prefix,
    "board_conn_id": configuration.read_board_connection,
}


def test_defaults_are_those_that_airflow_lists():
    """Each is listed, and means what the code does without it."""
    options = get_provider_info()["config"]["chefconsul"]["options"]
    assert options.keys() == READERS.keys()
    read = {name: reader() for name, reader in READERS.items()}
    assert read == {name: option["default"] for name, option in options.items()} | {
        "patience": timedelta(seconds=float(options["patience"]["default"])),
        "history_kept": int(options["history_kept"]["default"]),
    }
    assert (read["history_kept"], read["default_prefix"]) == (HISTORY_KEPT, DEFAULT_ROOT)
    assert read["board_conn_id"] == ConsulHook.default_conn_name


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("patience", "0"),
        ("patience", "-1"),
        ("patience", "long"),
        ("patience", "nan"),
        ("patience", "inf"),
        ("history_kept", "1"),
        ("history_kept", "many"),
        ("history_kept", "2.5"),
    ],
)
def test_malformed_option_is_named(monkeypatch, name, wrong):
    """With what it must be."""
    monkeypatch.setenv(f"AIRFLOW__CHEFCONSUL__{name.upper()}", wrong)
    with pytest.raises(InvalidInput, match=rf"\[chefconsul\] {name} must be a number .*, not '{wrong}'"):
        READERS[name]()


def test_prefix_of_the_connection_comes_first(monkeypatch):
    """The option is for connections that name none."""
    monkeypatch.setenv("AIRFLOW__CHEFCONSUL__DEFAULT_PREFIX", "fleet")
    for name, query in (("PLAIN", ""), ("OWN", "?prefix=own")):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", f"consul://127.0.0.1:8500{query}")
    assert [ConsulHook(name).settings().root for name in ("plain", "own")] == ["fleet", "own"]


def test_history_is_as_long_as_told(monkeypatch, consul_connection, consul_kv):
    """Counted in Consul, after the writes of a task."""
    monkeypatch.setenv("AIRFLOW__CHEFCONSUL__HISTORY_KEPT", "3")
    for release in range(5):
        operator = SetDesiredStateOperator(
            task_id="set", environment="demo", tier="web", state="converged", values={"release": str(release)},
            allow_empty=True,
        )  # fmt: skip
        operator.execute(make_context())
    kept = [key for key in dict(consul_kv) if key.startswith("demo/_history/web/")]
    assert sorted(kept) == [f"demo/_history/web/{generation:012d}" for generation in (3, 4, 5)]


async def test_patience_is_that_of_the_option(monkeypatch, consul_connection):
    """Of tasks, whose hook opens the view; who names another has that."""
    monkeypatch.setenv("AIRFLOW__CHEFCONSUL__PATIENCE", "7.5")
    async with ConsulHook().open_view() as view:
        assert view.patience == timedelta(seconds=7.5)
    async with ConsulHook().open_view(patience=timedelta(seconds=1)) as view:
        assert view.patience == timedelta(seconds=1)
