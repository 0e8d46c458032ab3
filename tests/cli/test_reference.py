"""The JSON that the page of the command line shows has the fields that the commands print, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from airflow_provider_chefconsul.domain.model.report import Status
from tests.support.factory import make_lease, make_report

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
BY_NAME = {"generations", "values", "counts", "frozen", "tiers"}
"""Fields whose objects have names of tiers, values or standings."""


def paths(value: Any, path: str = "") -> set[str]:
    """The fields of a JSON value, each with those above it."""
    match value:
        case dict():
            is_by_name = path.rpartition(".")[2] in BY_NAME
            found = {f"{path}.*" if is_by_name else f"{path}.{name}": each for name, each in value.items()}
            return set(found).union(*(paths(each, at) for at, each in found.items()))
        case list():
            return set().union(*(paths(each, f"{path}[]") for each in value))
    return set()


def shown(command: str) -> set[str]:
    """What the page shows of a command's JSON."""
    section = PAGE.partition(f"\n## {command}\n")[2].partition("\n## ")[0]
    [block] = re.findall(r"```json\n(.*?)```", section, flags=re.DOTALL)
    return paths(json.loads(block))


def test_json_has_the_fields_of_the_page(airflow_chefconsul, declare, members, consul_kv):
    """Every command that prints JSON, in a sequence in which each has something to print."""
    members("web-1", "web-2")

    def run(command: str, *words: str) -> Any:
        ended = airflow_chefconsul(*command.split(), "demo", *words, "-o", "json")
        assert ended.code in {0, 3}, ended.err
        assert paths(ended.json) == shown(command), command
        return ended.json

    def report(generation: int, **overrides: Any) -> None:
        for node in ("web-1", "web-2"):
            consul_kv[f"demo/web/nodes/{node}"] = make_report(node, generation=generation, **overrides).to_json()

    value = ("--state", "converged", "--value")
    declare()
    report(1, status=Status.RUNNING, finished_at=None)
    run("explain", "web")
    report(1)
    run("status", "web")
    run("set", "web", *value, "release=2.5.0", "--wait")
    run("plan", "web", *value, "release=2.6.0", "--waves", "1,100%")
    for act in ("promote", "abort"):
        declare("web", act, "--canary", "1")
        run(act, "web", "--reason", "why")
    run("journal", "--tier", "web")
    run("history", "web")
    frozen = run("freeze", "web", "--reason", "why", "--until", "2h")
    ended = airflow_chefconsul("unfreeze", "demo", "-o", "json")
    assert ended.json == frozen | {"frozen": {}}
    consul_kv["demo/_lease"] = make_lease().to_json()
    run("lease show")
    run("lease break", "--reason", "why", "--yes")
    run("forget", "web", "--yes")
