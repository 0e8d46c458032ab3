"""Checks a wait's verdicts against a model that knows the true state of each node.

``world`` holds the truth and Consul; ``node``, ``catalog`` and ``tier`` are the events that change them; ``waiter`` is
the wait under test, which sees only some of this; ``oracle`` computes which verdicts are right. ``python -m
tests.domain.verdict.truth 100000`` runs that many histories.
"""
