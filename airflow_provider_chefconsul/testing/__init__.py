"""Tests of rollout Dags: a real Consul, simulated nodes with faults, an Airflow. The fixture ``fleet`` is public."""
