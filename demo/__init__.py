"""What `make demo` runs: a real Consul cluster, Airflow, and a rollout to watch. The tests use the cluster too."""
