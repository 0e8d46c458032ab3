"""The console script `chefconsul`, on hosts with and without Airflow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from airflow_provider_chefconsul.cli.definition import COMMANDS, CommandGroup
from airflow_provider_chefconsul.cli.main import main, make_parser
from tests.support.factory import make_report

WITHOUT_AIRFLOW = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "airflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refused())
from airflow_provider_chefconsul.cli.main import main
main()
"""


@pytest.fixture
def url(cluster, consul_root):
    """The address of the test's Consul."""
    return f"http://127.0.0.1:{cluster.http_port}?prefix={consul_root}"


@pytest.fixture
def chefconsul():
    """Run the console script where there is no Airflow, with only these variables of Airflow's and Consul's."""

    def run(*words, **variables):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CONSUL"))}
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_AIRFLOW, *words],
            capture_output=True, text=True, timeout=60, env=kept | variables, check=False,
        )  # fmt: skip

    return run


def test_every_command_without_airflow(chefconsul, url, members, consul_kv):
    """A rollout by hand, from the first declaration to the last trace."""
    members("web-1")

    def run(*words, code=0):
        ended = chefconsul(*words, "--url", url)
        assert (ended.returncode, ended.stderr) == (code, "")
        return ended.stdout

    run("set", "demo", "web", "--state", "converged", "--value", "release=1")
    assert 'release: "1" → "2"' in run("plan", "demo", "web", "--state", "converged", "--value", "release=2")
    run("set", "demo", "web", "--state", "converged", "--value", "release=2")
    assert "; 0 of 1 members converged" in " ".join(run("status", "demo", code=3).split())
    assert "demo/web: rolled back" in run("rollback", "demo", "web")
    consul_kv["demo/web/nodes/web-1"] = make_report(generation=3).to_json()
    assert "; 1 of 1 members converged" in " ".join(run("status", "demo", "web").split())
    assert "web-1: converged on generation 3" in run("explain", "demo", "web", "web-1")
    assert len(json.loads(run("history", "demo", "web", "-o", "json"))["generations"]) == 3
    assert run("lease", "show", "demo") == "demo: nobody holds it, so anybody may write\n"
    assert "nothing to break" in run("lease", "break", "demo", "--reason", "test", "--yes")
    assert "demo/web: forgotten" in run("forget", "demo", "web", "--yes")


def test_wait_without_airflow(chefconsul, url, members):
    """What a wait says of the nodes that hold it up."""
    members("web-1")
    ended = chefconsul("set", "demo", "web", "--state", "off", "--wait", "--timeout", "1s", "--url", url)
    assert ended.returncode == 3
    assert "demo/web: web-1: not reported" in ended.stdout
    assert ended.stderr.startswith("chefconsul: error: demo/web: ")


@pytest.mark.parametrize("name", ["AIRFLOW_CONN_CONSUL_DEFAULT", "CONSUL_HTTP_ADDR"])
def test_connection_in_the_environment(chefconsul, url, consul_root, name):
    """Airflow's variable or Consul's; an unknown environment is answered with the command to type."""
    ended = chefconsul("status", "demo", **{name: url})
    assert ended.returncode == 3
    assert ended.stderr.startswith(
        "chefconsul: error: nothing is declared in demo yet: chefconsul set demo TIER --state …; environments at "
    )
    assert f"below {consul_root}/" in ended.stderr


@pytest.mark.parametrize(
    ("words", "variables", "error"),
    [
        (
            (),
            {},
            "no connection 'consul_default': pass --url, or set AIRFLOW_CONN_CONSUL_DEFAULT or CONSUL_HTTP_ADDR",
        ),
        (("--conn-id", "shop"), {"CONSUL_HTTP_ADDR": "127.0.0.1:8500"}, "no connection 'shop': pass --url, or set"),
        (("--url", "ftp://127.0.0.1:8500"), {}, "--url: cannot use ftp://; expected http[s]://HOST:PORT[?prefix=…]"),
        (("--url", "127.0.0.1"), {}, "--url: port is missing; Consul's default is 8500"),
        (("--url", "http://:5ec 2e7@127.0.0.1:8500"), {}, "--url: password is not an ACL token: it contains spaces"),
        ((), {"AIRFLOW_CONN_CONSUL_DEFAULT": "nonsense"}, "AIRFLOW_CONN_CONSUL_DEFAULT: neither a URI"),
        ((), {"CONSUL_HTTP_ADDR": "nonsense"}, "CONSUL_HTTP_ADDR: port is missing"),
    ],
    ids=str,
)
def test_unusable_connection(chefconsul, words, variables, error):
    """Exit code 1 and one line."""
    ended = chefconsul("status", "demo", *words, **variables)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"chefconsul: error: {error}")
    assert "5ec" not in line


def test_consul_that_is_not_there(monkeypatch, capsys, free_port):
    """Exit code 1, and the address."""
    monkeypatch.setattr("airflow_provider_chefconsul.cli.command.PATIENCE", timedelta(seconds=0.2))
    with pytest.raises(SystemExit) as ended:
        main(["status", "demo", "--url", f"http://127.0.0.1:{free_port}"])
    assert ended.value.code == 1
    assert f"chefconsul: error: http://127.0.0.1:{free_port} cannot be reached" in capsys.readouterr().err


def test_airflow_is_asked_for_other_connections(airflow_database, cluster, consul_root, monkeypatch, capsys):
    """Where Airflow is installed, its database and its secrets backends have connections, too."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    stored = Connection(
        conn_id="console", conn_type="consul", host="127.0.0.1", port=cluster.http_port, extra={"prefix": consul_root}
    )
    with create_session() as session:
        session.add(stored)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # the command sets it; put back when the test ends
    with pytest.raises(SystemExit) as ended:
        main(["lease", "show", "demo", "--conn-id", "console"])
    assert (ended.value.code, capsys.readouterr().out) == (0, "demo: nobody holds it, so anybody may write\n")


def test_airflow_takes_a_url(airflow_chefconsul, url, monkeypatch):
    """`airflow chefconsul` has the same arguments; Consul's own variables do not replace its connection."""
    monkeypatch.setenv("AIRFLOW_CONN_CONSUL_DEFAULT", "consul://127.0.0.1:1")
    ended = airflow_chefconsul("lease", "show", "demo", "--url", url)
    assert (ended.code, ended.out) == (0, "demo: nobody holds it, so anybody may write\n")
    monkeypatch.delenv("AIRFLOW_CONN_CONSUL_DEFAULT")
    monkeypatch.setenv("CONSUL_HTTP_ADDR", url)
    ended = airflow_chefconsul("lease", "show", "demo")
    assert ended.code == 1
    assert "Airflow has no connection 'consul_default'" in ended.err


def test_script_is_declared():
    """As `chefconsul`."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert EntryPoint("chefconsul", project["scripts"]["chefconsul"], "console_scripts").load() is main


def test_start_is_cheap():
    """A command imports neither Airflow nor what only slows its start, and leaves no module hidden."""
    code = (
        "import sys\n"
        "from airflow_provider_chefconsul.cli.main import main\n"
        "try:\n"
        "    main(['status', 'de/mo', '--url', '127.0.0.1:1'])\n"
        "except SystemExit:\n"
        "    names = 'airflow', 'click', 'httpx', 'httpx._main', 'requests', 'tornado'\n"
        "    print(*[name for name in names if name in sys.modules])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "httpx\n"
    assert "environment 'de/mo' is not a name" in ended.stderr


@pytest.mark.parametrize("words", [("status",), (), ("lease",), ("status", "demo", "--ur", "x", "y", "z")])
def test_usage(words, capsys):
    """Exit code 2, and what was expected."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: chefconsul")


def test_usage_shows_no_token(capsys):
    """Argparse repeats what it did not understand."""
    with pytest.raises(SystemExit):
        main(["status", "demo", "web", "http://:5ec2e7@127.0.0.1:8500"])
    printed = capsys.readouterr().err
    assert "unrecognized arguments: http://…@127.0.0.1:8500" in printed
    assert "5ec2e7" not in printed


def paths(group):
    """The words of every command."""
    for entry in group.commands:
        if isinstance(entry, CommandGroup):
            yield from ((entry.name, *words) for words in paths(entry))
        else:
            yield (entry.name,)


@pytest.mark.parametrize("words", list(paths(COMMANDS)), ids=" ".join)
def test_options_are_those_of_airflow(words, capsys):
    """One table: each command has the same options behind both programs."""
    from airflow.cli.cli_parser import get_parser

    found = []
    for parser, before in ((make_parser(), ()), (get_parser(), ("chefconsul",))):
        with pytest.raises(SystemExit):
            parser.parse_args([*before, *words, "--help"])
        found.append(set(re.findall(r"(?<=[ [])--?[a-z][a-z-]*", capsys.readouterr().out)))
    assert found[0] == found[1]
    assert "--url" in found[0]
