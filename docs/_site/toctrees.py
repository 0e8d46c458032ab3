"""Makes the navigation of the site from the lists of links in the pages that are indexes.

So the repository shows a list of links, not a directive, and there is only one list to keep.
"""

from __future__ import annotations

import re

INDEXES = ("docs/index", "docs/reference/index", "cookbooks/desired_state/README")
_ITEM = re.compile(r"^- \[([^\]]+)\]\(([^)#:]+)\.md\)", flags=re.MULTILINE)
_GENERATED = {"docs/reference/index": [("The public names", "api/airflow_provider_chefconsul/index")]}


def add_toctrees(_app, docname: str, source: list[str]) -> None:
    """Append to an index, for each of its sections, a hidden toctree of what the section links."""
    if docname not in INDEXES:
        return
    text = source[0]
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]:
        caption = section.partition("\n")[0].removeprefix("## ")
        text += _toctree(_ITEM.findall(section), caption)
    source[0] = text + _toctree(_GENERATED.get(docname, []), None)


def _toctree(pages: list[tuple[str, str]], caption: str | None) -> str:
    if not pages:
        return ""
    options = ":hidden:\n" + (f":caption: {caption}\n" if caption else "")
    return f"\n```{{toctree}}\n{options}\n" + "\n".join(f"{title} <{page}>" for title, page in pages) + "\n```\n"


def setup(app):
    """For Sphinx."""
    app.connect("source-read", add_toctrees)
    return {"parallel_read_safe": True}
