"""The commands, one module each. Internal."""
