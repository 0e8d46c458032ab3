"""``airflow chefconsul``: rollouts from a shell."""
