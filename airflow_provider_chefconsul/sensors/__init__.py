"""Airflow sensors. The ones that the package exports are public."""
