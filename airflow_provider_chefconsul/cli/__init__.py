"""The command line ``airflow chefconsul``. Internal: what it prints and its exit codes are its interface."""
