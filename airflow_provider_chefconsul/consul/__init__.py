"""The adapter: the shared data view and remote execution, spoken to Consul with asyncio."""
