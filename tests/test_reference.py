"""The pages of reference name what there is: no command, field, property or error more or less than the code has."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_chefconsul import exceptions
from airflow_provider_chefconsul.cli import connection as cli_connection
from airflow_provider_chefconsul.cli.definition import COMMANDS, CommandEntry, CommandGroup
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.consul.keys import Keys
from airflow_provider_chefconsul.domain.model.desired import Aborted
from airflow_provider_chefconsul.domain.model.early_failure import EarlyFailure
from airflow_provider_chefconsul.domain.model.freeze import Freeze, FreezeEntry
from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry, JournalWave
from airflow_provider_chefconsul.domain.model.pace import AssignmentPace
from airflow_provider_chefconsul.domain.model.report import Mended, Status, WaitsFor
from airflow_provider_chefconsul.provider_info import get_provider_info
from tests.support.factory import (
    make_assignment,
    make_canary,
    make_desired,
    make_failure,
    make_lease,
    make_ticket,
    make_writer,
)

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "reference"
COOKBOOK = ROOT / "cookbooks" / "desired_state"

WRITER = make_writer(map_index=0, transition=1)
ABORTED = Aborted("shop", "run", 3, WRITER, "why")
ASSIGNMENT = make_assignment(3, id="id", pace=AssignmentPace(2, "meta:rack", 300))
DESIRED = make_desired(3, canary=make_canary(), aborted=ABORTED)
REPORT = make_failure(waits_for=WaitsFor(("web-1",), 2, 3), mended=Mended("2026-11-30", 1, 1))
JOURNAL = JournalEntry(
    "now", WRITER, JournalAct.DECLARED, {"web": ASSIGNMENT}, JournalWave("1", 1, 2), scope=("web",), node="web-1"
)
LEASE = make_lease()
FREEZE = Freeze({"web": FreezeEntry(WRITER, "now", None, "why")})


def sections(page: str) -> dict[str, str]:
    """The text below each heading of the second level, by heading; what comes before the first is under ""."""
    parts = re.split(r"^## (.+)$", (PAGES / page).read_text(), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def first_cells(text: str) -> set[str]:
    """What is in backticks in the first cell of each row of the tables."""
    cells = re.findall(r"^\| (`.+?) \|", text, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def commands(group: CommandGroup = COMMANDS, before: str = "") -> Iterator[tuple[str, CommandEntry]]:
    """Every command, by the words that call it."""
    for each in group.commands:
        match each:
            case CommandGroup():
                yield from commands(each, f"{before}{each.name} ")
            case CommandEntry():
                yield f"{before}{each.name}", each


ALL_COMMANDS = list(commands())
COMMAND_PAGE = sections("cli.md")
SHARED = {name: first_cells(COMMAND_PAGE[name]) for name in ("Connection", "Output", "Members", "Wait")}


def test_commands_are_those_of_the_parser():
    """A heading each, and each is in the list at the top."""
    named = COMMAND_PAGE.keys() - {"", "Exit codes", *SHARED}
    assert named == {name for name, _ in ALL_COMMANDS}
    assert set(re.findall(r"\]\(#([a-z-]+)\)", COMMAND_PAGE[""])) == {name.replace(" ", "-") for name in named}


@pytest.mark.parametrize(("name", "entry"), ALL_COMMANDS)
def test_arguments_are_those_of_the_parser(name, entry):
    """In the command's own table, and in the shared ones that its section links to."""
    text = COMMAND_PAGE[name]
    named = first_cells(text).union(*(flags for heading, flags in SHARED.items() if f"(#{heading.lower()})" in text))
    assert named == {flag for each in entry.arguments for flag in each.flags}


@pytest.mark.parametrize(("name", "entry"), ALL_COMMANDS)
def test_choices_are_named(name, entry):
    """A choice and a requirement of an argument stand beside it."""
    text = COMMAND_PAGE[name] + COMMAND_PAGE["Output"]
    for argument in entry.arguments:
        rows = [line for line in text.splitlines() if line.startswith("|")]
        row = next((line for line in rows if f"`{argument.flags[-1]}`" in line), "")
        assert all(f"`{choice}`" in row for choice in argument.options.get("choices", ()))
        if argument.options.get("required"):
            assert "required" in row, argument.flags


def test_exit_codes_are_those_of_the_program():
    """A row each."""
    rows = re.findall(r"^\| (\d+) \|", COMMAND_PAGE["Exit codes"], flags=re.MULTILINE)
    assert [int(row) for row in rows] == [code.value for code in ExitCode]


def test_json_is_json():
    """What the page shows as printed can be parsed."""
    blocks = re.findall(r"```json\n(.*?)```", (PAGES / "cli.md").read_text(), flags=re.DOTALL)
    assert len(blocks) >= 12
    for block in blocks:
        assert "environment" in json.loads(block)


def document(text: str) -> set[str]:
    """The names of a document's fields."""
    return set(json.loads(text))


def early_failure_fields() -> set[str]:
    """What the cookbook writes of a run that failed early; this side reads only some of it."""
    source = (COOKBOOK / "libraries" / "early_failure.rb").read_text()
    written = source.partition("Report.new(")[2].partition("\n      )")[0]
    read = set(re.findall(r'document\.\w+\("(\w+)"\)', inspect.getsource(EarlyFailure.from_json)))
    names = {"schema", *re.findall(r"'(\w+)' =>", written)}
    assert read <= names
    return names


CANARY = json.loads(make_desired(canary=make_canary(assignment=ASSIGNMENT)).to_json())["canary"]
MARK = re.findall(r"'(\w+)' =>", (COOKBOOK / "libraries" / "once.rb").read_text().partition("JSON.generate(")[2])


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("Desired state", document(DESIRED.to_json())),
        ("Assignment", set(ASSIGNMENT.to_fields())),
        ("Canary", set(CANARY)),
        ("Writer", set(WRITER.to_fields())),
        ("Aborted", set(ABORTED.to_fields())),
        ("Report", document(REPORT.to_json())),
        ("Ticket", document(make_ticket().to_json())),
        ("Error", set(json.loads(REPORT.to_json())["error"])),
        ("Early failure", early_failure_fields()),
        ("Lease", document(LEASE.to_json())),
        ("Freeze", document(FREEZE.to_json()) | set(json.loads(FREEZE.to_json())["entries"]["web"])),
        ("Journal entry", document(JOURNAL.to_json())),
        ("Mark of a once-per-tier task", set(MARK)),
    ],
)
def test_every_field_of_a_document_is_named(heading, fields):
    """And no other."""
    assert first_cells(sections("data-view.md")[heading]) == fields


def test_every_value_of_a_field_is_named():
    """Statuses, acts, and the fields of a holder and of a wave."""
    page = sections("data-view.md")
    assert all(f"`{status}`" in page["Report"] for status in Status)
    assert all(f"`{act}`" in page["Journal entry"] for act in JournalAct)
    assert all(f"`{name}`" in page["Journal entry"] for name in json.loads(JOURNAL.to_json())["wave"])
    assert all(f"`{name}`" in page["Lease"] for name in json.loads(LEASE.to_json())["holder"])


def test_every_key_is_named():
    """As `Keys` and its Ruby twin build them."""
    keys = Keys("PREFIX")
    built = {
        keys.desired("ENV", "TIER"),
        keys.report("ENV", "TIER", "NODE"),
        f"{keys.tier('ENV', 'TIER')}locks/TASK",
        f"{keys.tier('ENV', 'TIER')}done/TASK/VERSION",
        keys.slot("ENV", "TIER", "NODE"),
        keys.history("ENV", "TIER", 43),
        keys.lease("ENV"),
        re.sub(r"[0-9a-f]{32}$", "HASH", keys.lost_lease("ENV", "shop", "run")),
        keys.freeze("ENV"),
        f"{keys.journal('ENV')}TIME-LETTERS",
        f"{keys.early_failures('ENV')}NODE",
    }
    assert first_cells(sections("data-view.md")["Keys"]) == built


def test_every_field_of_the_connection_is_named():
    """Airflow's own, those of the form, and the variables of Consul's."""
    page = sections("connection.md")
    [form] = get_provider_info()["connection-types"]
    assert first_cells(page[""]) == {"host", "port", "schema", "password", *form["conn-fields"]}
    assert all(f"| {field['label']} |" in page[""] for field in form["conn-fields"].values())
    variables = re.findall(r"[\"'](CONSUL_\w+)[\"']", inspect.getsource(cli_connection))
    assert first_cells(page["Without Airflow"]) == set(variables)


COOKBOOK_PAGE = sections("cookbook.md")
RESOURCES = sorted((COOKBOOK / "resources").glob("*.rb"))


@pytest.mark.parametrize("path", RESOURCES, ids=lambda path: path.stem)
def test_every_property_and_action_is_named(path):
    """Of each resource, and no other."""
    source, text = path.read_text(), COOKBOOK_PAGE[f"desired_state_{path.stem}"]
    properties = re.findall(r"^property :(\w+)", source, flags=re.MULTILINE)
    blocks = re.findall(r"^def (\w+)\(", source, flags=re.MULTILINE)
    assert first_cells(text) == set(properties)
    assert re.findall(r"takes `(\w+)`", text) == blocks
    actions = re.findall(r"^action :(\w+)", source, flags=re.MULTILINE)
    assert re.findall(r"`:(\w+)`", text.partition("Actions: ")[2]) == actions


def test_every_resource_is_named():
    """A heading each."""
    assert {name for name in COOKBOOK_PAGE if name.startswith("desired_state_")} == {
        f"desired_state_{path.stem}" for path in RESOURCES
    }


def test_every_setting_and_option_is_named():
    """Of `node['desired_state']`, and of the method that recipes call."""
    settings = (COOKBOOK / "libraries" / "settings.rb").read_text()
    names = settings.partition("NAMES = %w(")[2].partition(")")[0].split()
    variables = re.findall(r"'(CONSUL_\w+)'", settings)
    assert first_cells(COOKBOOK_PAGE["Settings"]) == set(names)
    assert all(f"`{name}`" in COOKBOOK_PAGE["Settings"] for name in variables)
    dsl = (COOKBOOK / "libraries" / "dsl.rb").read_text()
    options = re.findall(r"(\w+):", dsl.partition("def desired_state(tier, ")[2].partition("&block")[0])
    assert first_cells(COOKBOOK_PAGE["In a recipe"]) == set(options)


def test_every_error_of_the_cookbook_is_named():
    """A row each."""
    source = (COOKBOOK / "libraries" / "errors.rb").read_text()
    assert first_cells(COOKBOOK_PAGE["Errors"]) == set(re.findall(r"class (\w+) <", source))


ERRORS = {
    name: error
    for name, error in vars(exceptions).items()
    if inspect.isclass(error) and issubclass(error, exceptions.ChefConsulError)
}


def test_every_error_has_a_row():
    """In one of the tables, with what a task does with it; the others are Airflow's."""
    text = (PAGES / "errors.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.*) \|$", text, flags=re.MULTILINE)
    assert {name for name, _ in rows if not name.startswith("Airflow")} == set(ERRORS)
    assert all(retries for _, retries in rows)


def test_errors_that_end_a_task_are_those_that_the_page_says():
    """What `raise_final` takes is not retried, and nothing else of a write is."""
    from airflow_provider_chefconsul.operators.writing import raise_final

    final = set(re.findall(r"\w+", str(inspect.signature(raise_final).parameters["error"].annotation)))
    text = sections("errors.md")["Of a write that is refused"]
    rows = dict(re.findall(r"^\| `(\w+)` \| .+ \| (.*) \|$", text, flags=re.MULTILINE))
    assert {name for name, retries in rows.items() if retries == "no"} == final
