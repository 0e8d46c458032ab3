"""What Airflow's image installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.compose.project import ROOT, copied_paths, instructions_of

DOCKERFILE = ROOT / "docker" / "airflow.Dockerfile"


def test_package_is_built_from_what_is_copied(tmp_path: Path):
    """The files that the Dockerfile copies are enough for pip, and bring the whole provider."""
    (source := tmp_path / "source").mkdir()
    for path in copied_paths(DOCKERFILE):
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, source / path)
        else:
            shutil.copy(ROOT / path, source / path)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "airflow_provider_chefconsul"
    assert {str(path.relative_to(ROOT)) for path in package.rglob("*.py")} <= names
    assert not [name for name in names if name.startswith(("docker", "tests", "demo"))]


def test_airflow_is_the_one_that_is_tested():
    """The image's Airflow is the version whose requirements are pinned, and whose tests CI runs."""
    ((image,),) = instructions_of(DOCKERFILE, "FROM")
    version = image.split(":")[1].split("-")[0]
    assert f"NEWEST_AIRFLOW := {version}\n" in (ROOT / "Makefile").read_text()
