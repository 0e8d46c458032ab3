"""The Markdown pages of the repository, taken apart: their blocks of code, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w{}-]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", flags=re.DOTALL | re.MULTILINE
)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", flags=re.MULTILINE)
_OUTSIDE = re.compile(r"[a-z]+:")
_ENDS_A_COMMAND = {"|", "||", "&", "&&", ";", ">", ">>", ">&", "<"}


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: Path
    language: str
    code: str
    line: int

    def __str__(self) -> str:
        """For the ids of tests."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[str]:
        """The command lines of a shell block, without prompts and comments; in `console`, what follows a prompt."""
        text = self.code.replace("\\\n", "")
        for written in text.splitlines():
            line = written.strip()
            if self.language == "console":
                if not line.startswith("$ "):
                    continue
                line = line.removeprefix("$ ")
            yield line


def guides() -> list[Path]:
    """The README and the pages of documentation, without those that `make docs` generates."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def pages() -> list[Path]:
    """All that have links: also those beside the README, and the cookbooks'."""
    return [*guides(), *sorted(set(ROOT.glob("*.md")) - {ROOT / "README.md"}), *sorted(ROOT.glob("cookbooks/**/*.md"))]


@cache
def blocks(page: Path) -> list[Block]:
    """The blocks of code of a page."""
    text = page.read_text()
    return [
        Block(page, found["language"], re.sub(rf"^{found['indent']}", "", found["code"], flags=re.MULTILINE),
              text.count("\n", 0, found.start()) + 1)
        for found in _BLOCK.finditer(text)
    ]  # fmt: skip


def blocks_in(*languages: str) -> list[Block]:
    """The blocks in these languages, of all guides."""
    return [block for page in guides() for block in blocks(page) if block.language in languages]


def _prose(page: Path) -> str:
    """A page without its blocks and inline code."""
    return re.sub(r"`[^`\n]+`", "", _BLOCK.sub("", page.read_text()))


def links(page: Path) -> list[str]:
    """The targets of its links and pictures that lie in the repository."""
    return [found["target"] for found in _LINK.finditer(_prose(page)) if _OUTSIDE.match(found["target"]) is None]


@cache
def anchors(page: Path) -> frozenset[str]:
    """What a link into the page may name, as GitHub and MyST make it of headings."""
    found: list[str] = []
    for heading in _HEADING.findall(_BLOCK.sub("", page.read_text())):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        seen = sum(each == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", each) is not None for each in found)
        found.append(f"{slug}-{seen}" if slug in found else slug)
    return frozenset(found)


def words_of(line: str, program: str) -> list[list[str]]:
    """The arguments of each call of `program` in a command line, such as `chefconsul` or `airflow chefconsul`."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a part of a longer text in quotes
        assert not line.startswith(program), f"the quotes do not match: {line}"
        return []
    wanted = program.split()
    calls = []
    for start in range(len(words)):
        preceded = words[start - 1] if start else ""
        if words[start : start + len(wanted)] != wanted or preceded == "airflow":
            continue
        if not (start == 0 or set(preceded) <= set("|&;") or "=" in preceded or _is_wrapper(words[:start])):
            continue
        call = words[start + len(wanted) :]
        end = next((n for n, word in enumerate(call) if word in _ENDS_A_COMMAND), len(call))
        is_of_errors = call[end - 1 : end + 1] in (["2", ">"], ["2", ">&"], ["2", ">>"])
        calls.append(call[: end - 1 if is_of_errors else end])
    return calls


def _is_wrapper(words: list[str]) -> bool:
    """What runs another command, such as `docker compose exec airflow-scheduler`."""
    return bool({"exec", "kubectl", "sudo", "env", "time", "timeout", "watch"} & set(words))
