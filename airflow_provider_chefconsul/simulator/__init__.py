"""Nodes that obey the contract without Chef."""
