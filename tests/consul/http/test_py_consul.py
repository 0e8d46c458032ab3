"""py-consul's base is imported without its synchronous client, which others still find."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORT = "import sys\nimport airflow_provider_chefconsul.consul.http.client\n"


def run(code):
    """What Python prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def test_requests_is_not_imported():
    """Nor is py-consul's synchronous client, which needs it."""
    names = "requests", "consul.std", "importlib.metadata"
    assert run(f"{IMPORT}print(*[name for name in {names} if name in sys.modules])") == []


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("import consul; print(consul.Consul.__module__)", "consul.std"),
        ("from consul import Consul; print(Consul.__module__)", "consul.std"),
        ("from consul import *; print(Consul.__module__)", "consul.std"),
        ("from consul import std; print(std.Consul.__module__)", "consul.std"),
        ("import consul; print(consul.Check is consul.check.Check)", "True"),
        ("import consul; print(consul.NotFound is consul.exceptions.NotFound)", "True"),
        ("import consul; print(consul.__version__ != '')", "True"),
        ("import consul; print(hasattr(consul, 'nothing'))", "False"),
    ],
)
def test_others_find_all_of_it(line, printed):
    """Whoever imports py-consul afterwards, notices nothing."""
    assert run(f"{IMPORT}{line}") == [printed]


def test_plain_client():
    """What ``ConsulHook.get_conn`` returns is py-consul's own."""
    code = (
        f"{IMPORT}"
        "from airflow_provider_chefconsul.consul.http.plain import plain_client\n"
        "from airflow_provider_chefconsul.consul.http.settings import ConsulSettings\n"
        "import consul\n"
        "print(type(plain_client(ConsulSettings('127.0.0.1', 8500))) is consul.Consul)\n"
    )
    assert run(code) == ["True"]


def test_threads_find_all_of_it():
    """One thread runs the package's init, the others wait for it."""
    code = (
        f"{IMPORT}"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "import consul\n"
        "sys.setswitchinterval(1e-6)\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = [pool.submit(getattr, consul, name) for name in ('Consul', 'Timeout', 'std', 'NotFound') * 2]\n"
        "print(len({each.result().__name__ for each in found}))\n"
    )
    assert run(code) == ["4"]


def test_package_that_was_imported_before():
    """It stays as it is."""
    code = "import consul\nbefore = consul, type(consul)\n" + IMPORT + "import consul\n"
    assert run(f"{code}print((consul, type(consul)) == before)") == ["True"]
