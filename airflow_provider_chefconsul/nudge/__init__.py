"""How a command gets to nodes and runs there once, over remote execution or SSH. Internal."""
