"""Consul's HTTP API as coroutines; nothing else knows py-consul or httpx. Internal."""
