"""Calls `airflow chefconsul` in this process, as Airflow's own entry point does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from tests.support.raw_keys import RawKeys


@dataclass(frozen=True)
class Ended:
    """A command's output and exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def airflow_chefconsul(consul_connection: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    """Run `airflow chefconsul` with these arguments to its end."""
    from airflow.cli.cli_parser import get_parser

    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # the commands set it; put back when the test ends
    monkeypatch.setenv("COLUMNS", "160")

    def run(*words: str) -> Ended:
        capsys.readouterr()
        args = get_parser().parse_args(["chefconsul", *words])
        with pytest.raises(SystemExit) as ended:
            args.func(args)
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(int(ended.value.code), captured.out, captured.err)

    return run


@pytest.fixture
def declare(airflow_chefconsul: Run) -> Callable[..., None]:
    """Declare a tier with the command line."""

    def declare(tier: str = "web", release: str = "2.5.0", *words: str) -> None:
        value = f"release={release}"
        words = words if "--canary" in words else (*words, "--without-members")  # most tests are not about nodes
        ended = airflow_chefconsul("set", "demo", tier, "--state", "converged", "--value", value, *words)
        assert ended.code == 0, ended.err

    return declare


def read_desired(keys: RawKeys, tier: str = "web") -> DesiredState:
    """What a tier desires now."""
    return DesiredState.from_json(f"demo/{tier}/desired", keys[f"demo/{tier}/desired"])
