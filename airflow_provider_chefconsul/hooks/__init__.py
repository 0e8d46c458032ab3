"""Airflow hook for Consul connections."""
