"""What the demo's Airflow, in which the board is looked at, leaves on the disk."""

from __future__ import annotations

from demo.standalone import AirflowStandalone


def test_what_airflow_writes_is_for_this_user_only(airflow: AirflowStandalone):
    """Its configuration has keys in it, as the file of passwords has the password."""
    files = [path for path in airflow.home.rglob("*") if path.is_file()]
    assert [str(path) for path in files if path.exists() and path.stat().st_mode & 0o077] == []
    assert airflow.log in files
    assert airflow.home / "simple_auth_manager_passwords.json.generated" in files
