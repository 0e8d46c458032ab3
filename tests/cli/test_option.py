"""Options for commands that do not import Airflow: those of the Dags on the same machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_chefconsul.cli.connection import find_in_variables, parse_url
from airflow_provider_chefconsul.cli.option import find_option
from airflow_provider_chefconsul.exceptions import InvalidInput


def write_configuration(home: Path, text: str) -> dict[str, str]:
    """The variables of a machine whose Airflow has this configuration."""
    (home / "airflow.cfg").write_text(text)
    return {"AIRFLOW_HOME": str(home)}


def test_variable_comes_before_the_file(tmp_path: Path):
    """As in Airflow; what neither has is None."""
    variables = write_configuration(tmp_path, "[core]\nx = %(y)s\n[chefconsul]\ndefault_prefix = file\n")
    assert find_option("default_prefix", variables) == "file"
    assert find_option("default_prefix", variables | {"AIRFLOW__CHEFCONSUL__DEFAULT_PREFIX": "variable"}) == "variable"
    assert find_option("history_kept", variables) is None
    assert find_option("default_prefix", {"AIRFLOW_HOME": str(tmp_path / "nowhere")}) is None


def test_configuration_may_lie_elsewhere(tmp_path: Path):
    """AIRFLOW_CONFIG names the file itself."""
    write_configuration(tmp_path, "[chefconsul]\ndefault_prefix = other\n")
    assert find_option("default_prefix", {"AIRFLOW_CONFIG": str(tmp_path / "airflow.cfg")}) == "other"


def test_configuration_that_is_none_is_named(tmp_path: Path):
    """Rather than keys being looked for below another prefix."""
    with pytest.raises(InvalidInput, match=r"airflow\.cfg cannot be read as Airflow's configuration"):
        find_option("default_prefix", write_configuration(tmp_path, "no section\n"))


@pytest.mark.parametrize("text", ["consul://127.0.0.1:8500", '{"conn_type": "consul", "host": "h", "port": 8500}'])
def test_prefix_is_that_of_the_dags(tmp_path: Path, text: str):
    """Where neither the connection nor the URL names one."""
    variables = write_configuration(tmp_path, "[chefconsul]\ndefault_prefix = fleet\n")
    found = find_in_variables("here", variables | {"AIRFLOW_CONN_HERE": text})
    assert found is not None
    assert found.root == "fleet"
    assert parse_url("--url", "127.0.0.1:8500", variables).root == "fleet"
    assert parse_url("--url", "127.0.0.1:8500?prefix=own", variables).root == "own"
