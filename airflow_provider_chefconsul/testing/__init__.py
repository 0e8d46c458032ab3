"""For tests of rollout Dags: a real Consul, simulated nodes with faults, and an Airflow of their own."""
