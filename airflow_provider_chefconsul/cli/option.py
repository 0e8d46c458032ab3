"""The options of ``[chefconsul]`` for a command that does not import Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from configparser import Error, RawConfigParser
from pathlib import Path

from airflow_provider_chefconsul.exceptions import InvalidInput


def find_option(name: str, variables: Mapping[str, str]) -> str | None:
    """An option, as an environment variable or Airflow's configuration file has it; None if neither does.

    :raises InvalidInput: that file cannot be read.
    """
    if text := variables.get(f"AIRFLOW__CHEFCONSUL__{name.upper()}"):
        return text
    home = Path(variables.get("AIRFLOW_HOME") or "~/airflow")
    file = Path(variables.get("AIRFLOW_CONFIG") or home / "airflow.cfg").expanduser()
    parser = RawConfigParser(strict=False)
    try:
        parser.read(file)
    except (Error, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read as Airflow's configuration: {error}") from error
    return parser.get("chefconsul", name, fallback="") or None
