"""The adapter to hosts over SSH, with asyncio; it knows asyncssh and nothing of Airflow or Consul."""
