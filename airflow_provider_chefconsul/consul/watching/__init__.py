"""Blocking queries that all in an event loop share."""
