"""What mypy must accept of the public face; checked, never run."""
