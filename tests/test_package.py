"""What would be published: the metadata, the page that a package index makes of it, and what lies in the archives."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

import airflow_provider_chefconsul as face
from hatch_build import make_absolute

ROOT = Path(__file__).parents[1]
LINKS = re.compile(r"\]\(([^)\s]+)|^\[[^\]]+\]:\s+(\S+)|(?:src|href)=\"([^\"]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def wheel_files(archives: Path) -> dict[str, bytes]:
    """By name, what lies in the wheel."""
    (wheel,) = archives.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def metadata(wheel_files: dict[str, bytes]) -> Message:
    """The wheel's metadata."""
    (name,) = [name for name in wheel_files if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel_files[name])


def links_of(page: str) -> list[str]:
    """The targets of a page's links and pictures, outside of code blocks."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    return ["".join(found) for found in LINKS.findall(text)]


def test_page_has_no_relative_link(metadata: Message):
    """A package page lies elsewhere; pictures are asked for as files."""
    page = metadata.get_payload()
    links = links_of(page)
    assert len(links) > 5
    assert [link for link in links if not link.startswith("https://")] == []
    assert [picture for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)", page) if "/raw/" not in picture] == []


def test_links_of_the_readme_lead_to_files():
    """So those of the page do, once the repository is there."""
    relative = [link for link in links_of((ROOT / "README.md").read_text()) if not re.match("[a-z]+:|#", link)]
    assert [link for link in relative if not (ROOT / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[a](docs/a.md)", "[a](https://here/blob/v1/docs/a.md)"),
        ("[a](docs/a.md#part)", "[a](https://here/blob/v1/docs/a.md#part)"),
        ("[`a[1]`](docs/a.md)", "[`a[1]`](https://here/blob/v1/docs/a.md)"),
        ("[a](#part)", "[a](https://here/blob/v1/README.md#part)"),
        ("![a](docs/a.png)", "![a](https://here/raw/v1/docs/a.png)"),
        ("[a]: docs/a.md", "[a]: https://here/blob/v1/docs/a.md"),
        ("[a](https://there/a) [b](mailto:b)", "[a](https://there/a) [b](mailto:b)"),
        ("```\nfleet[web](docs)\n```\n[a](b)", "```\nfleet[web](docs)\n```\n[a](https://here/blob/v1/b)"),
    ],
)
def test_links_are_made_absolute(written, expected):
    """Those to other hosts, and what only looks like a link, stay as they are."""
    assert make_absolute(written, "https://here", "v1") == expected


def test_metadata_says_what_the_package_is(metadata: Message):
    """The version stands in one place; only the extras bring SSH and pytest."""
    assert metadata["Version"] == face.__version__
    assert metadata.get_all("Provides-Extra") == ["ssh", "testing"]
    needed = [each for each in metadata.get_all("Requires-Dist") if "extra ==" not in each]
    assert [each for each in needed if "ssh" in each or "pytest" in each] == []
    assert metadata["Author"]
    assert metadata["Author-email"] is None, "there is no address to write to"


def test_archives_are_complete(archives: Path, wheel_files: dict[str, bytes]):
    """The sdist has what a packager tests and documents it with; the wheel has the package, and nothing beside it."""
    (sdist,) = archives.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {
        "hatch_build.py", "docs/glossary.md", "tests/conftest.py", "tests/contract/buckets.json", "demo/__main__.py",
        "cookbooks/desired_state/metadata.rb", "Makefile", "CHANGELOG.md", "LICENSE",
    } <= names  # fmt: skip
    assert {f"{face.__name__}/py.typed", f"{face.__name__}/ui/static/index.html"} <= wheel_files.keys()
    assert {name.partition("/")[0].partition("-")[0] for name in wheel_files} == {face.__name__}


def test_release_workflow_follows_its_schema():
    """It has never run: the project has no public CI yet."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    workflow["on"] = workflow.pop(True)  # YAML 1.1 takes the word for a boolean
    jsonschema.validate(workflow, get_builtin_schema("vendor.github-workflows"))
    assert workflow["jobs"]["publish"]["permissions"] == {"id-token": "write"}


def test_cookbooks_invent_no_contact():
    """Nobody answers at an address that is not ours."""
    for file in ROOT.glob("cookbooks/*/metadata.rb"):
        assert not re.search(r"@|_url|://", file.read_text()), file
