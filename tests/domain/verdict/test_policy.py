"""What an author may require of a wait, and its JSON form."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.exceptions import InvalidInput
from tests.support.factory import make_policy

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"min_converged": "101%"}, 'min_converged must be a number of nodes or "0%" to "100%", not \'101%\''),
        ({"min_converged": -1}, "min_converged must be"),
        ({"min_converged": "1.5%"}, "min_converged must be"),
        ({"min_converged": None}, "min_converged must be"),
        ({"max_failed": 1.5}, "max_failed must be"),
        ({"max_failed": True}, "max_failed must be"),
        ({"max_absent": "many"}, "max_absent must be"),
        ({"min_members": 0}, "min_members must be a number of at least 1, not 0"),
        ({"min_members": "1"}, "min_members must be"),
        ({"timeout": timedelta(0)}, "timeout must be a timedelta above zero"),
        ({"timeout": -SECOND}, "timeout must be a timedelta above zero"),
        ({"timeout": None}, "timeout must be a timedelta, not None"),
        ({"timeout": 30}, "timeout must be a timedelta, not 30"),
        ({"min_healthy_time": 30}, "min_healthy_time must be a timedelta, not 30"),
        ({"min_healthy_time": -SECOND}, "min_healthy_time must be"),
        ({"min_healthy_time": None}, "min_healthy_time must be a timedelta, not None"),
        ({"min_healthy_time": SECOND, "timeout": SECOND}, "min_healthy_time=0:00:01 does not fit into timeout=0:00:01"),
        ({"progress_deadline": timedelta(0)}, "progress_deadline must be a timedelta above zero"),
        ({"timeout": timedelta.max}, "timeout must be at most 3650 days, not 999999999 days"),
        ({"progress_deadline": timedelta(days=3651)}, "progress_deadline must be at most 3650 days"),
        ({"progress_deadline": "5m"}, "progress_deadline must be a timedelta, not '5m'"),
    ],
)
def test_invalid_policy_is_refused(wrong, words):
    """The error names the parameter."""
    with pytest.raises(InvalidInput) as caught:
        make_policy(**wrong)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"min_converged": 0, "max_failed": "0%", "max_absent": 0},
        {"min_converged": "100%", "max_failed": "100%", "max_absent": "100%"},
        {"min_healthy_time": SECOND, "timeout": 2 * SECOND, "progress_deadline": SECOND},
        {"min_healthy_time": timedelta(0), "progress_deadline": timedelta(hours=1)},
    ],
)
def test_valid_policy_is_accepted(right):
    """Including the bounds; a progress_deadline after the timeout merely never applies."""
    policy = make_policy(**right)
    given = {name: value.total_seconds() if isinstance(value, timedelta) else value for name, value in right.items()}
    assert policy.to_fields() == make_policy().to_fields() | given


def test_representation_shows_counts_as_written():
    """Evaluating it gives the same policy."""
    policy = make_policy(min_converged="90%", max_failed=2)
    assert repr(policy).startswith("ConvergencePolicy(min_converged='90%', max_failed=2, max_lost=0, max_absent=None, ")
    assert policy.min_converged.at_least(11) == 10
    assert replace(policy, max_lost="5%") == make_policy(min_converged="90%", max_failed=2, max_lost="5%")


counts = st.integers(0, 9) | st.integers(0, 100).map("{}%".format)
durations = st.integers(1, 10**6).map(lambda milliseconds: timedelta(milliseconds=milliseconds))


@given(
    st.builds(
        ConvergencePolicy,
        min_converged=counts,
        max_failed=counts,
        max_absent=st.none() | counts,
        min_members=st.integers(1, 9),
        min_healthy_time=st.just(timedelta(0)) | durations,
        progress_deadline=st.none() | durations,
        timeout=durations.map(lambda duration: duration + timedelta(hours=1)),
    )
)
def test_json_form_round_trips(policy):
    """Including durations of zero and None."""
    assert ConvergencePolicy.from_fields(json.loads(json.dumps(policy.to_fields()))) == policy


def test_percentage_with_a_leading_zero():
    """Authors could write it, so a stored policy may hold it."""
    stored = ConvergencePolicy().to_fields() | {"max_failed": "05%"}
    assert ConvergencePolicy.from_fields(stored) == ConvergencePolicy(max_failed="5%")
