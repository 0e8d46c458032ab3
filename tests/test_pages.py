"""The pages: every Python block is executed, every command is understood, every link leads somewhere.

Some examples are run on real agents, too.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest

import airflow_provider_chefconsul
from airflow_provider_chefconsul.cli.main import make_parser
from airflow_provider_chefconsul.provider_info import get_provider_info
from tests.dags.fleet import Fleet
from tests.support.airflow_home import connect
from tests.support.pages import ROOT, Block, anchors, blocks, blocks_in, guides, links, pages, words_of

EXAMPLES = blocks_in("python")
SHELL = blocks_in("sh", "console")
README = ROOT / "README.md"


def build(block: Block):
    """What a block defines, as if it stood in a file of its own beside its page."""
    names = {"__name__": "example", "__file__": str(block.page)}
    exec(compile("\n" * block.line + block.code, str(block), "exec"), names)
    return names


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_example_stands_alone(block):
    """Each Python block can be executed; a Dag that it names `dag` has tasks."""
    names = build(block)
    if "dag" in names:
        assert names["dag"].tasks


def test_first_dag_rolls_a_release_out(fleet: Fleet, run_dag, monkeypatch):
    """The ten lines do what they say: web goes down, db is upgraded, web comes up, all nodes report it."""
    first = next(block for block in EXAMPLES if block.page == README)
    assert first.code.count("\n") <= 10
    connect(monkeypatch, fleet.cluster.http_port)
    states = run_dag(build(first)["dag"], release="3.0.0")
    assert set(states.values()) == {"success"}
    for tier in ("web", "db"):
        assert fleet.assigned(tier) == {
            "generation": fleet.desired(tier)["generation"], "state": "converged", "values": {"release": "3.0.0"},
        }  # fmt: skip
        assert fleet.statuses(tier) == {"succeeded"}


def test_examples_with_a_lease_and_a_model_run(fleet: Fleet, run_dag, monkeypatch):
    """What the pages show of them works on real agents; the lease is given up at the end."""
    connect(monkeypatch, fleet.cluster.http_port)
    for name in ("leased", "modelled"):
        (block,) = (block for block in EXAMPLES if f'DAG("{name}"' in block.code)
        assert set(run_dag(build(block)["dag"]).values()) == {"success"}, name
    assert fleet.states_written("web") == ["off", "converged", "off", "waiting", "converged"]
    assert not any(key.endswith("_lease") for key in fleet.keys)


def test_console_script_does_what_the_readme_shows(fleet: Fleet):
    """In a shell of its own: the rollout converges, and so says the status."""
    (example,) = (
        block for block in SHELL if block.page == README and block.code.startswith("export CONSUL_HTTP_ADDR=")
    )
    script = f"{shlex.quote(sys.executable)} -c 'from airflow_provider_chefconsul.cli.main import main; main()'"
    lines = example.code.replace("127.0.0.1:8500", f"127.0.0.1:{fleet.cluster.http_port}")
    ended = subprocess.run(
        ["bash", "-ec", f'chefconsul() {{ {script} "$@"; }}\n{lines}'],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "; 3 of 3 members converged" in " ".join(ended.stdout.split())


@pytest.mark.parametrize(
    ("line", "program", "calls"),
    [
        ("chefconsul status demo  # all of it", "chefconsul", [["status", "demo"]]),
        ("airflow chefconsul status demo", "airflow chefconsul", [["status", "demo"]]),
        ("airflow chefconsul status demo", "chefconsul", []),
        ("docker compose exec scheduler airflow chefconsul journal demo", "airflow chefconsul", [["journal", "demo"]]),
        ("CONSUL_HTTP_TOKEN=t chefconsul status demo -o json | jq .", "chefconsul", [["status", "demo", "-o", "json"]]),
        (
            "chefconsul plan a b && chefconsul set a b 2> /dev/null",
            "chefconsul",
            [["plan", "a", "b"], ["set", "a", "b"]],
        ),
        ("pip install airflow-provider-chefconsul", "chefconsul", []),
        ("ls chefconsul", "chefconsul", []),
        ('export A=\'{"one": 1,', "chefconsul", []),
    ],
)
def test_calls_are_found_in_command_lines(line, program, calls):
    """Also behind other commands, and with what else a shell understands."""
    assert words_of(line, program) == calls


def parsers() -> dict[str, ArgumentParser]:
    """By how a command line begins."""
    from airflow.cli.cli_parser import get_parser

    return {"airflow chefconsul": get_parser(), "chefconsul": make_parser()}


def test_commands_are_understood():
    """Airflow's parser takes each `airflow chefconsul` of a shell block, the console script's each `chefconsul`."""
    understood, refused = 0, []
    for program, parser in parsers().items():
        for block in SHELL:
            for line in block.commands():
                for words in words_of(line, program):
                    arguments = ["chefconsul", *words] if program.startswith("airflow") else words
                    try:
                        parser.parse_args(arguments)
                    except SystemExit as ended:
                        if ended.code:  # not --help
                            refused.append(f"{block}: {line}")
                    understood += 1
    assert refused == []
    assert understood >= 10


def test_no_command_escapes_the_parsers():
    """A block with commands says that it is one for a shell."""
    untagged = [
        str(block)
        for page in guides()
        for block in blocks(page)
        if block.language == ""
        and re.search(r"^(\$ )?(airflow |export \w+=|chefconsul [a-z])", block.code, flags=re.MULTILINE)
    ]
    assert untagged == []


def test_targets_of_make_exist():
    """What a page tells people to run is there."""
    makefile = (ROOT / "Makefile").read_text()
    targets = {found for block in SHELL for line in block.commands() for found in re.findall(r"^make ([a-z]+)", line)}
    assert "demo" in targets
    assert {target for target in targets if f"\n{target}:" not in makefile} == set()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """To a file or a folder of the repository; and to a heading, if they name one."""
    assert [link for link in links(page) if not is_there(page, link)] == []


def is_there(page: Path, link: str) -> bool:
    """Whether a link of a page leads to something in the repository."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in anchors(target)


def test_pages_do_not_link_the_readme():
    """It is the front page of the repository only; that of the site is docs/index.md."""
    linking = [
        str(page.relative_to(ROOT))
        for page in pages()
        for link in links(page)
        if (page.parent / link.partition("#")[0]).resolve() == README
    ]
    assert linking == []


def test_every_page_is_in_the_navigation():
    """Each is listed by an index; `make docs` makes the site's navigation of these lists."""
    listed = {
        (index.parent / found).resolve()
        for index in (ROOT / "docs" / "index.md", ROOT / "docs" / "reference" / "index.md")
        for found in re.findall(r"^- \[[^\]]+\]\(([^)#:]+\.md)\)", index.read_text(), flags=re.MULTILINE)
    }
    assert set(guides()) - {README, ROOT / "docs" / "index.md"} <= listed


def reference() -> dict[str, str]:
    """The names that the pages of reference link, with the modules that they lead to."""
    text = "".join((ROOT / "docs" / "reference" / page).read_text() for page in ("operators.md", "task-groups.md"))
    found = re.findall(r"\[`(\w+)(?:\(\))?`\]\(\.\./\.\./airflow_provider_chefconsul/([\w/]+)\.py\)", text)
    return {name: path.replace("/", ".") for name, path in found}


def test_reference_has_each_public_name():
    """With the module that defines it; and each trigger."""
    modules = airflow_provider_chefconsul._MODULES
    found = reference()
    assert {name: module for name, module in found.items() if name in modules} == modules
    package = f"{airflow_provider_chefconsul.__name__}."
    (triggers,) = get_provider_info()["triggers"]
    assert {module for name, module in found.items() if name.endswith("Trigger")} == {
        module.removeprefix(package) for module in triggers["python-modules"]
    }


def test_readme_is_short():
    """Nothing that a page says better."""
    assert len(README.read_text().splitlines()) <= 150


def test_pages_name_no_machine():
    """Neither a home folder nor a package index: each has its own."""
    pattern = re.compile(r"/home/[a-z]+/|/Users/|pypi\.|pythonhosted", flags=re.IGNORECASE)
    assert [str(page) for page in pages() if pattern.search(page.read_text())] == []
