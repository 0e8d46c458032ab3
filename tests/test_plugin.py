"""What Airflow finds of the plugin, and what finding it costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from urllib.parse import parse_qs, urlsplit

from airflow_provider_chefconsul.plugin import ChefConsulPlugin


def test_entry_point_names_the_plugin():
    """Airflow loads plugins of packages by it."""
    (found,) = [each for each in entry_points(group="airflow.plugins") if each.name == "chefconsul"]
    assert found.load() is ChefConsulPlugin


def test_loading_it_imports_no_web_framework():
    """Every Airflow process loads plugins; only the API server serves pages."""
    program = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import airflow_provider_chefconsul.plugin; "
        "print(*sorted(name for name in set(sys.modules) - before "
        "if name.partition('.')[0] in {'airflow_provider_chefconsul', 'consul', 'fastapi', 'httpx', 'starlette'}))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    ours = "airflow_provider_chefconsul"
    assert set(found.split()) - {ours} == {f"{ours}.{name}" for name in ("plugin", "listener", "preload")}


def test_views_lead_to_the_board(monkeypatch):
    """In the navigation and on Dag runs, by addresses that work below any path, with the connection that is set."""
    monkeypatch.setenv("AIRFLOW__CHEFCONSUL__BOARD_CONN_ID", "consul & co")
    plugin = ChefConsulPlugin()
    assert [view["destination"] for view in plugin.external_views] == ["nav", "dag_run"]
    (app,) = plugin.fastapi_apps
    for view in plugin.external_views:
        address = urlsplit(view["href"])
        assert (address.scheme, address.netloc) == ("", "")
        assert parse_qs(address.query)["connection"] == ["consul & co"]
        assert f"/{address.path}" == f"{app['url_prefix']}/"
