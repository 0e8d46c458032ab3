"""Getting a command to nodes, and running it there once: over Consul's remote execution, or SSH."""
