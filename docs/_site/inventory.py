"""The few names of Airflow and Python that the reference links, so that a build needs no network."""

from __future__ import annotations

import zlib
from pathlib import Path

_PYTHON = "https://docs.python.org/3/"
_AIRFLOW = "https://airflow.apache.org/docs/task-sdk/stable/"

# Name, and the page that describes it, as in the real inventories; the anchor is the name.
_NAMES = {
    "python": (
        _PYTHON,
        {
            "collections.abc.Callable": "library/collections.abc.html",
            "collections.abc.Iterable": "library/collections.abc.html",
            "collections.abc.Mapping": "library/collections.abc.html",
            "collections.abc.Sequence": "library/collections.abc.html",
            "datetime.date": "library/datetime.html",
            "datetime.datetime": "library/datetime.html",
            "datetime.timedelta": "library/datetime.html",
        },
    ),
    "airflow": (
        _AIRFLOW,
        dict.fromkeys(
            [
                "airflow.sdk.Asset",
                "airflow.sdk.BaseHook",
                "airflow.sdk.BaseNotifier",
                "airflow.sdk.BaseOperator",
                "airflow.sdk.BaseSensorOperator",
                "airflow.sdk.DAG",
                "airflow.sdk.TaskGroup",
            ],
            "api.html",
        ),
    ),
}


def mapping(folder: Path, *, online: bool) -> dict[str, tuple[str, tuple[str | None, ...]]]:
    """For `intersphinx_mapping`: the real inventories if `online`, and ours where they do not answer."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for project, (url, names) in _NAMES.items():
        file = folder / f"{project}.inv"
        file.write_bytes(_inventory(project, names))
        found[project] = (url, (None, str(file)) if online else (str(file),))
    return found


def _inventory(project: str, names: dict[str, str]) -> bytes:
    """The names in the form of a Sphinx inventory, version 2."""
    head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
    head += "# The remainder of this file is compressed using zlib.\n"
    lines = "".join(f"{name} py:class 1 {page}#$ -\n" for name, page in names.items())
    return head.encode() + zlib.compress(lines.encode())
