"""The tree of errors."""

from __future__ import annotations

import inspect

import pytest

from airflow_provider_chefconsul import exceptions
from airflow_provider_chefconsul.cli.exit_code import ExitCode, exit_code_of
from airflow_provider_chefconsul.exceptions import ChefConsulError, EnvironmentLeased, LeaseLost, StaleWrite


def draw(error: type[Exception], indent: str = "") -> list[str]:
    """An error and its subclasses, one per line, in the order of their definition."""
    others = [base.__name__ for base in error.__bases__ if not issubclass(base, ChefConsulError)]
    article = "an" if others and others[0][0] in "AEIOU" else "a"
    note = f" (also {article} {', '.join(others)})" if others and error is not ChefConsulError else ""
    lines = [f"{error.__name__}{note}"]
    below = [each for each in vars(exceptions).values() if inspect.isclass(each) and error in each.__bases__]
    for each in below:
        first, *rest = draw(each)
        branch, trunk = ("└── ", "    ") if each is below[-1] else ("├── ", "│   ")
        lines += [branch + first, *(trunk + line for line in rest)]
    return lines


def test_tree_is_drawn_as_it_is():
    """In the module's docstring."""
    assert exceptions.__doc__ is not None
    drawn = [line[4:] for line in exceptions.__doc__.splitlines() if line.startswith("    ")]
    assert drawn == draw(ChefConsulError)


def test_every_error_is_in_the_tree():
    """So catching the root catches all of them."""
    classes = [each for each in vars(exceptions).values() if inspect.isclass(each)]
    defined = [each for each in classes if each.__module__ == exceptions.__name__]
    assert len(defined) > 10
    assert all(issubclass(each, ChefConsulError) for each in defined)


@pytest.mark.parametrize("error", [StaleWrite, EnvironmentLeased, LeaseLost])
def test_refusals_are_distinct(error):
    """Each is a refused write for scripts; but a wait for a lease does not continue after losing it."""
    assert exit_code_of(error("no")) is ExitCode.REFUSED
    assert not isinstance(LeaseLost("no"), StaleWrite | EnvironmentLeased)
