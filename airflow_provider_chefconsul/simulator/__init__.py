"""Simulated nodes, which obey the contract without Chef. Internal."""
