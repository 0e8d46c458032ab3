"""Airflow operators. The ones that the package exports are public."""
