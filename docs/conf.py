"""How `make docs` builds the site: every Markdown page of the repository, and the reference made from the source.

The source directory is the repository, so that a page's links work in the repository and on the site alike. Nothing
is imported but the standard library and Sphinx, and nothing is fetched: the reference is parsed from the source, and
links to Airflow's and Python's documentation come from `inventory.py` unless ``DOCS_ONLINE`` is set.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = ROOT / "build"
sys.path.insert(0, str(DOCS / "_site"))

import inventory  # noqa: E402
import public_face  # noqa: E402

PACKAGE = "airflow_provider_chefconsul"
FACE = public_face.stage(ROOT / PACKAGE, BUILD / "docs-face")
public_names = sorted(FACE.modules)

project = "airflow-provider-chefconsul"
version = release = FACE.version
copyright = "the authors, Apache-2.0"  # noqa: A001 - Sphinx's name

root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "cookbooks/**.md"]
exclude_patterns = ["README.md", ".*", "build", "dist", "docs/_site"]
extensions = ["myst_parser", "autoapi.extension", "sphinx.ext.intersphinx", "toctrees", "repository_links"]

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]
suppress_warnings = [
    "autoapi.python_import_resolution",  # of py-consul, which is not installed here
    "misc.highlighting_failure",  # Pygments knows neither mermaid nor Consul's older way of writing rules
]

html_theme = "furo"
html_title = project
html_extra_path = ["_site/root"]  # index.html of the site's root, which leads to docs/index.html
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

autoapi_dirs = [str(BUILD / "docs-face" / PACKAGE)]
autoapi_file_patterns = ["*.pyi", "*.py"]
autoapi_root = "docs/reference/api"
autoapi_template_dir = "docs/_site/autoapi"
autoapi_add_toctree_entry = False
autoapi_own_page_level = "function"
autoapi_options = ["members", "undoc-members", "imported-members"]
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True

intersphinx_mapping = inventory.mapping(BUILD / "docs-inventories", online=bool(os.environ.get("DOCS_ONLINE")))
intersphinx_timeout = 10


def autoapi_prepare_jinja_env(jinja_env):
    """What the templates in `autoapi/` use."""
    jinja_env.filters["complete"] = FACE.complete
    jinja_env.filters["shorten"] = FACE.shorten


def setup(app):
    """Keep what is not public out of the reference."""
    app.connect("autoapi-skip-member", FACE.skip)
