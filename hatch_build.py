"""What the build makes of the README: on a package's page, links must be absolute."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

README = "README.md"
_INLINE = re.compile(r"(!?)(\[(?:`[^`]*`|[^\]`])*\])\(([^)\s]+)")  # code may have brackets
_REFERENCE = re.compile(r"^(\[[^\]]+\]:\s+)(\S+)", re.MULTILINE)


class ReadmeHook(MetadataHookInterface):
    """Fills in the dynamic field ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Read the README, and make its links point into the repository, at the tag of this version."""
        text = Path(self.root, README).read_text(encoding="utf-8")
        text = make_absolute(text, metadata["urls"]["Source"], f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def make_absolute(text: str, source: str, tag: str) -> str:
    """Make a page's relative links absolute; code blocks stay as they are.

    :param source: the repository's address, on a host that has files below ``blob/`` and pictures below ``raw/``.
    """

    def find(path: str, folder: str = "blob") -> str:
        if re.match(r"[a-z]+:", path):
            return path
        return f"{source}/{folder}/{tag}/{README if path.startswith('#') else ''}{path}"

    blocks = re.split(r"(^```.*?^```)", text, flags=re.DOTALL | re.MULTILINE)
    for number in range(0, len(blocks), 2):
        block = _REFERENCE.sub(lambda found: found[1] + find(found[2]), blocks[number])
        blocks[number] = _INLINE.sub(
            lambda found: f"{found[1]}{found[2]}({find(found[3], 'raw' if found[1] else 'blob')}", block
        )
    return "".join(blocks)
