"""What is said of a freeze."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_chefconsul.domain.explanation.freeze import explain_freeze
from airflow_provider_chefconsul.domain.model.freeze import NOT_FROZEN, Freeze, make_freeze_entry
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from tests.support.factory import NOW, make_writer

ENDLESS = make_freeze_entry(make_writer(), "evening", None, now=NOW)
SHORT = make_freeze_entry(make_writer(), "lunch", NOW + timedelta(hours=2), now=NOW)
WHO = "frozen by Dag shop_rollout, run manual__1, task web.set since 2026-11-22T08:00:00Z"
LUNCH = f"{WHO}, until 2026-11-22T10:00:00Z: lunch; to end that: chefconsul unfreeze demo web"
EVENING = f"with all tiers {WHO}, until somebody ends it: evening; to end that: chefconsul unfreeze demo '*'"


@pytest.mark.parametrize(
    ("freeze", "hours", "lines"),
    [
        (NOT_FROZEN, 0, []),
        (Freeze({"app": ENDLESS}), 0, []),
        (Freeze({"web": SHORT}), 1, [LUNCH]),
        (Freeze({"*": ENDLESS, "web": SHORT}), 1, [LUNCH, EVENING]),
        (Freeze({"*": ENDLESS, "web": SHORT}), 3, [EVENING]),
        (
            Unreadable("chefconsul/demo/_freeze", "not JSON"),
            0,
            ["what is frozen cannot be read, so nobody may write: chefconsul/demo/_freeze: not JSON"],
        ),
    ],
)
def test_who_keeps_a_tier_frozen(freeze, hours, lines):
    """A line for each that does, with the command that ends that one."""
    assert explain_freeze("demo", "web", freeze, now=NOW + timedelta(hours=hours)) == lines
