"""The command line: ``airflow chefconsul …``."""
