"""How many examples properties try: as many as Hypothesis's profile says, or a multiple of it."""

from __future__ import annotations

import hypothesis

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "chefconsul", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("chefconsul"), max_examples=10)


def examples(times: int = 1) -> int:
    """So many times the examples of the profile, which `--hypothesis-profile` chooses before tests are collected."""
    return times * hypothesis.settings().max_examples
