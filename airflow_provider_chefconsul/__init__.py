"""Roll environments through desired states: Airflow declares them in Consul, Chef nodes converge and report back."""

__version__ = "0.1.0"
