"""What Airflow discovers of the package."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points, metadata
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider_chefconsul.provider_info import get_provider_info


def test_entry_point_is_installed():
    """Airflow finds the metadata by the distribution's entry point, and the names agree."""
    (found,) = [each for each in entry_points(group="apache_airflow_provider") if "chefconsul" in each.value]
    assert found.load() is get_provider_info
    assert get_provider_info()["package-name"] == metadata("airflow-provider-chefconsul")["Name"]


def test_metadata_follows_airflows_schemas():
    """The relaxed schema that Airflow applies, and the strict one for the connection form."""
    schemas = Path(airflow.__file__).parent
    info = get_provider_info()
    jsonschema.validate(info, json.loads((schemas / "provider_info.schema.json").read_text()))
    strict = json.loads((schemas / "provider.yaml.schema.json").read_text())
    jsonschema.validate(
        info["connection-types"], {**strict["properties"]["connection-types"], "$defs": strict.get("$defs", {})}
    )


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_every_module_named_exists(kind):
    """No name in the metadata leads nowhere."""
    for integration in get_provider_info()[kind]:
        for module in integration["python-modules"]:
            import_module(module)


def test_every_class_named_exists():
    """The hook class has what Airflow asks of it; the extra link and the commands can be made."""
    info = get_provider_info()
    (connection,) = info["connection-types"]
    module, _, name = connection["hook-class-name"].rpartition(".")
    hook = getattr(import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (connection["connection-type"], connection["hook-name"])
    for path in info["cli"]:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)()
    for path in info["extra-links"]:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)().name


def test_import_reaches_no_network_and_starts_nothing():
    """Importing the operators makes no threads and opens no sockets; the simulator imports no Airflow."""
    code = (
        "import sys, threading, socket\n"
        "def refuse(*_): raise AssertionError('a socket at import')\n"
        "import airflow.sdk, airflow.triggers.base\n"
        "before = threading.active_count()\n"
        "socket.socket.connect = refuse\n"
        "import airflow_provider_chefconsul.task_groups\n"
        "assert threading.active_count() == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_is_cheap():
    """What every Dag file imports apart, neither the adapter nor a library for HTTP or SSH is loaded by an import."""
    code = (
        "import sys\n"
        "import airflow.sdk, airflow.triggers.base\n"
        "from airflow.sdk import BaseOperator, BaseSensorOperator, TaskGroup\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_chefconsul.task_groups\n"
        "added = set(sys.modules) - before\n"
        "ours = 'airflow_provider_chefconsul'\n"
        "assert f'{ours}.operators.chef' in added\n"
        "heavy = {'asyncssh', 'consul', 'httpx', 'paramiko', 'tenacity'}\n"
        "found = {name for name in added if name.partition('.')[0] in heavy}\n"
        "adapter = ('http.client', 'http.transport', 'view', 'wait', 'lease')\n"
        "found |= added & {f'{ours}.consul.{name}' for name in adapter}\n"
        "found |= added & {f'{ours}.nudge.remote_exec', f'{ours}.nudge.ssh'}\n"
        "assert not found, sorted(found)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
