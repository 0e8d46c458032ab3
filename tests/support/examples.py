"""How many examples property tests try: as many as Hypothesis's profile says, or a multiple of it."""

from __future__ import annotations

import hypothesis

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "chefconsul", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("chefconsul"), max_examples=10)


def examples(times: int = 1) -> int:
    """A multiple of the profile's examples; `--hypothesis-profile` chooses it before tests are collected."""
    return times * hypothesis.settings().max_examples
