"""The cookbook's messages compared with the orchestrator's, for each malformed document."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from airflow_provider_chefconsul.domain.model.desired import DesiredState
from airflow_provider_chefconsul.domain.model.report import NodeReport
from airflow_provider_chefconsul.exceptions import MalformedDocument

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "tests" / "contract"
LIBRARIES = ROOT / "cookbooks" / "desired_state" / "libraries"
KEY = "chefconsul/demo/web/desired"
KINDS: dict[str, type[DesiredState | NodeReport]] = {"desired": DesiredState, "report": NodeReport}
PARSERS_WORDS = "not JSON ("  # what stands in the parentheses is the parser's

READ_ALL = """
  require 'json'
  require File.join(ARGV[0], 'desired')
  require File.join(ARGV[0], 'report')

  key, raws = JSON.parse($stdin.read)
  kinds = { 'desired' => DesiredState::Desired, 'report' => DesiredState::Report }
  messages = raws.to_h do |kind, texts|
    said = texts.map do |text|
      kinds.fetch(kind).parse(key, text)
      nil
    rescue DesiredState::MalformedDocument => e
      e.message
    end
    [kind, said]
  end
  puts JSON.generate(messages)
"""


def load(kind: str) -> list[dict[str, str]]:
    """The entries of one file of the contract."""
    entries: list[dict[str, str]] = json.loads((CONTRACT / f"{kind}_malformed.json").read_text(encoding="utf-8"))
    assert entries
    return entries


@pytest.fixture(scope="module")
def cookbook_says() -> dict[str, list[str | None]]:
    """The cookbook's messages for each kind of document, in the order of the contract; all from one process."""
    ruby = shutil.which("ruby")
    assert ruby, "no ruby on the PATH: `make packages` installs it"
    raws = {kind: [entry["raw"] for entry in load(kind)] for kind in KINDS}
    ran = subprocess.run(
        [ruby, "-e", READ_ALL, str(LIBRARIES)],
        input=json.dumps([KEY, raws]), capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    messages: dict[str, list[str | None]] = json.loads(ran.stdout)
    return messages


@pytest.mark.parametrize("kind", KINDS)
def test_messages_are_the_same(kind: str, cookbook_says: dict[str, list[str | None]]) -> None:
    """Node and orchestrator give the same message for a malformed document."""
    entries = load(kind)
    assert len(cookbook_says[kind]) == len(entries)
    for entry, theirs in zip(entries, cookbook_says[kind], strict=True):
        with pytest.raises(MalformedDocument) as caught:
            KINDS[kind].from_json(KEY, entry["raw"])
        ours = str(caught.value)
        if ours.startswith(f"{KEY}: {PARSERS_WORDS}"):
            assert theirs is not None, entry["why"]
            assert theirs.startswith(f"{KEY}: {PARSERS_WORDS}"), entry["why"]
        else:
            assert theirs == ours, entry["why"]
