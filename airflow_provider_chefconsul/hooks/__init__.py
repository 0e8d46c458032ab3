"""Airflow hooks. ``ConsulHook`` is public."""
