"""``airflow chefconsul simulate`` as its own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import consul
import pytest

from airflow_provider_chefconsul.cli.commands.simulate import parse_fleet
from airflow_provider_chefconsul.exceptions import InvalidInput

AIRFLOW = Path(sys.executable).parent / "airflow"
DESIRED = {
    "schema": 1,
    "generation": 1,
    "stable": {"generation": 1, "state": "converged", "values": {"release": "1"}},
    "written_by": {"dag_id": "a", "run_id": "b", "task_id": "c", "map_index": -1},
    "written_at": "2026-11-22T08:00:00Z",
}


def environment(port: int, root: str) -> dict[str, str]:
    """The environment of the process."""
    connection = {"conn_type": "consul", "host": "127.0.0.1", "port": port, "extra": {"prefix": root}}
    return {**os.environ, "AIRFLOW_CONN_CONSUL_DEFAULT": json.dumps(connection), "PYTHONWARNINGS": "ignore"}


@contextmanager
def simulate(port: int, root: str, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs."""
    process = subprocess.Popen(
        [AIRFLOW, "chefconsul", "simulate", "demo", *arguments],
        env=environment(port, root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Its output, up to a line with this text."""
    seen = ""
    assert process.stdout is not None
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    pytest.fail(f"ended without {text!r}: {seen}")


def nodes(plain: consul.Consul) -> set[str]:
    """The nodes in the catalog."""
    return {entry["Node"] for entry in plain.catalog.nodes()[1]}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_takes_all_nodes_out_of_the_catalog(cluster, consul_root, consul_kv, plain_consul, number, code):
    """Even if a shell started it with SIGINT ignored; each event is a line of output."""
    before = nodes(plain_consul)
    arguments = ["--tier", "web=3", "--tier", "db=1", "--fault", "web-2 fails in converged"]
    consul_kv["demo/web/desired"] = json.dumps(DESIRED)
    with simulate(
        cluster.http_port,
        consul_root,
        *arguments,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    ) as process:
        printed = read_until(process, "runs ended")
        assert nodes(plain_consul) - before == {"web-1", "web-2", "web-3", "db-1"}
        process.send_signal(number)
        assert process.wait(60) == code
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert nodes(plain_consul) == before
    lines = [line.partition(" ")[2] for line in printed.splitlines()]
    assert lines[0].startswith("demo: simulated nodes (web=3, db=1) are in the catalog of http://127.0.0.1:")
    assert lines[1:4] == [
        "web-2: web-2 fails in converged",
        "demo/web: assigned generation 1, state converged, release=1",
        "web-2 fails (web-2 fails in converged)",
    ]
    assert lines[-1].startswith("demo/web: runs ended: ")
    assert {"2 succeeded", "1 failed"} <= set(lines[-1].partition(": runs ended: ")[2].split(", "))


def test_reader_that_is_gone_ends_it_cleanly(cluster, consul_root, consul_kv, plain_consul):
    """As with `| head`: the nodes leave without an error message."""
    before = nodes(plain_consul)
    with simulate(cluster.http_port, consul_root, "--tier", "web=3") as process:
        read_until(process, "simulated nodes")
        assert process.stdout is not None
        process.stdout.close()
        consul_kv["demo/web/desired"] = json.dumps(DESIRED)
        assert process.wait(60) == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stdout = None
    assert nodes(plain_consul) == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--tier", "web"], 2, "--tier 'web' is not a name and a number of nodes"),
        (["--tier", "web=3", "--tier", "web=4"], 2, "tier web is given twice"),
        (["--tier", "web=0"], 2, "1 to 100000 nodes"),
        (["--tier", "web=3", "--fault", "web-7 fails"], 2, "no node web-7; the fleet has web-1 to web-3"),
        (["--tier", "web=3", "--fault", "web-1 explodes"], 2, "\nA fault is: WHO WHAT [in STATE] [with NAME=VALUE]\n"),
        (["--tier", "taken=3"], 1, "Consul lists somebody"),
        (["--tier", "web=3", "--conn-id", "nowhere"], 1, "Airflow has no connection 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said(airflow_chefconsul, members, plain_consul, arguments, code, said):
    """With a message and an exit code; no node stays in the catalog."""
    members("somebody", tier="taken")
    before = nodes(plain_consul)
    ended = airflow_chefconsul("simulate", "demo", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert nodes(plain_consul) == before


@pytest.mark.parametrize("text", ["", "web", "=3", "web=", "web=three", "web=-1", "web=1=2"])
def test_tier_that_cannot_be_read_is_named(text):
    """Before any request to Consul."""
    with pytest.raises(InvalidInput) as caught:
        parse_fleet([text])
    assert repr(text) in str(caught.value)
