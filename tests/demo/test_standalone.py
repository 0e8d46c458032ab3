"""What the demo's Airflow leaves on the disk."""

from __future__ import annotations

from pathlib import Path

from demo.standalone import AirflowStandalone
from tests.demo.test_processes import wait_for


def test_what_airflow_writes_is_for_this_user_only(tmp_path: Path) -> None:
    """Its configuration has keys in it, as the file of passwords has the password."""
    (dags := tmp_path / "dags").mkdir()
    with AirflowStandalone(tmp_path / "airflow", dags) as airflow:
        wait_for((airflow.home / "simple_auth_manager_passwords.json.generated").exists, seconds=300)
        files = [path for path in airflow.home.rglob("*") if path.is_file()]
    assert [str(path) for path in files if path.exists() and path.stat().st_mode & 0o077] == []
    assert airflow.log in files
