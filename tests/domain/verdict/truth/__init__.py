"""A model of what nodes truly have, against what a wait makes of what it was told.

``world`` holds the truth and Consul, ``node``, ``catalog`` and ``tier`` are what happens to them, ``waiter`` looks at
some of it, and ``oracle`` says what a verdict promises. ``python -m tests.domain.verdict.truth 100000`` runs that many
histories.
"""
