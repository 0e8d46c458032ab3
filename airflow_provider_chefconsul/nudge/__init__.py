"""How a command gets to nodes, and is run there once: over Consul's remote execution, or SSH."""
