"""Airflow notifiers. The ones that the package exports are public."""
