"""Airflow triggers. Internal: operators, sensors and assets create them."""
