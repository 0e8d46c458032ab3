"""Measurements that let a rollout go on or stop it. Internal."""
