"""Reading values that have proved good, from a real Consul."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_chefconsul.domain.model.journal import JournalEntry
from airflow_provider_chefconsul.exceptions import InvalidInput, ValuesNotGood
from airflow_provider_chefconsul.operators.converged_values import ReadConvergedValuesOperator
from tests.support.airflow_home import make_context
from tests.support.factory import make_assignment, make_desired, make_writer

pytestmark = pytest.mark.usefixtures("consul_connection")


def make(**overrides):
    """The task."""
    defaults = {"task_id": "read", "environment": "staging", "tier": "web", "min_age": timedelta(hours=1)}
    return ReadConvergedValuesOperator(**defaults | overrides)


def test_values_that_are_good(consul_kv):
    """Refused until the journal tells so, and for long enough."""
    stable = make_assignment(7, id="a1", values={"release": "2.5.0", "replicas": 3, "debug": None})
    consul_kv["staging/web/desired"] = make_desired(7, stable=stable).to_json()
    with pytest.raises(ValuesNotGood, match="^staging/web: not good: the journal does not tell that all of it"):
        make().execute(make_context())
    at = datetime.now(UTC) - timedelta(minutes=30)
    entry = JournalEntry(at.isoformat(), make_writer(), "converged", {"web": stable})
    consul_kv["staging/_journal/1"] = entry.to_json()
    with pytest.raises(ValuesNotGood, match="^staging/web: not good: all of it converged .* min_age=1:00:00 is over"):
        make().execute(make_context())
    read = make(min_age=timedelta(minutes=20)).execute(make_context())
    assert read == {"release": "2.5.0", "replicas": 3, "debug": None}


def test_environment_without_the_tier(consul_kv):
    """Never an empty set of values."""
    with pytest.raises(ValuesNotGood, match="^staging/web: not good: it has no desired state$"):
        make().execute(make_context())


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"environment": "sta ging"}, "environment 'sta ging' is not a name"),
        ({"tier": "we b"}, "tier 'we b' is not a name"),
        ({"state": "o f"}, "state 'o f' is not a name"),
        ({"min_age": 60}, "min_age must be a timedelta of zero or more, not 60"),
        ({"min_age": timedelta(-1)}, "min_age must be a timedelta of zero or more"),
    ],
)
def test_bad_input_at_parse(overrides, problem):
    """One clear error that names the parameter."""
    with pytest.raises(InvalidInput, match=problem):
        make(**overrides)
