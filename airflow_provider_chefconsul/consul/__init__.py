"""The adapter: coroutines that read, watch and write the shared data view in Consul. Internal."""
