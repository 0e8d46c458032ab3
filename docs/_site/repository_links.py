"""Links to what the repository has and the site has not: the source of a public name, and folders.

In the repository, a page of reference links the name of an operator to its source. On the site, the same link leads
to the generated reference. A link to a folder, such as `dags/`, is only its text there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes

_PACKAGE = "airflow_provider_chefconsul"


def adapt_links(app: Any, doctree: nodes.document) -> None:
    """Adapt the links of a page that has been read; the handler of `doctree-read`."""
    for link in list(doctree.findall(addnodes.download_reference)):
        name = link.astext().removesuffix("()")
        if name in app.config.public_names and _target(app, link).is_relative_to(Path(app.srcdir, _PACKAGE)):
            reference = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=f"{_PACKAGE}.{name}",
                refdoc=app.env.docname,
                refexplicit=True,
                refwarn=True,
            )
            reference += [child.deepcopy() for child in link.children]
            link.replace_self(reference)
    for link in list(doctree.findall(addnodes.pending_xref)):
        if link["reftype"] == "myst" and link.get("refdomain") is None and _target(app, link).is_dir():
            link.replace_self([child.deepcopy() for child in link.children])


def _target(app: Any, link: Any) -> Path:
    return Path(app.env.relfn2path(link["reftarget"], app.env.docname)[1]).resolve()


def setup(app: Any) -> dict[str, bool]:
    """For Sphinx."""
    app.add_config_value("public_names", (), "env", types=[list])
    app.connect("doctree-read", adapt_links)
    return {"parallel_read_safe": True}
