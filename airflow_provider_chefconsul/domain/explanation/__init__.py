"""Verdicts and standings in words; nothing is decided here. Internal."""
