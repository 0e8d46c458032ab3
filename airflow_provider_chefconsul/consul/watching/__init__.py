"""Blocking queries, shared by everything in an event loop that watches the same keys. Internal."""
