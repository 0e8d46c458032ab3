"""What the operators that write share: writer, logical time, and the ending of a stale write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from logging import Logger
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_chefconsul.exceptions import InvalidInput, StaleWrite
from airflow_provider_chefconsul.operators.writing import check_on_stale, raise_final, sequence_of
from airflow_provider_chefconsul.triggers.writer import writer_of
from tests.support.airflow_home import make_context

LOGICAL, PARTITION, RUN_AFTER = (datetime(2026, month, 1, tzinfo=UTC) for month in (9, 10, 11))


def seconds(moment: datetime) -> int:
    """Since the epoch."""
    return int(moment.timestamp())


@pytest.mark.parametrize(("map_index", "expected"), [(-1, -1), (None, -1), (3, 3)])
def test_writer_is_the_task_instance(map_index, expected):
    """Two mapped instances of one task are two writers."""
    writer = writer_of(make_context(map_index=map_index))
    assert (writer.dag_id, writer.run_id, writer.task_id) == ("shop_rollout", "manual__1", "set")
    assert writer.map_index == expected


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({"logical_date": LOGICAL, "partition_date": PARTITION}, LOGICAL),
        ({"logical_date": None, "partition_date": PARTITION}, PARTITION),
        ({"logical_date": None, "partition_date": None}, RUN_AFTER),
        ({"logical_date": None}, RUN_AFTER),  # before Airflow 3.3
    ],
)
@pytest.mark.parametrize("given", [None, "", "None"])
def test_default_is_the_logical_time_of_the_dag_run(dates, expected, given):
    """Runs without a logical date have a partition's, or the time that they were due; a template may give "None"."""
    context = {"dag_run": SimpleNamespace(run_after=RUN_AFTER, **dates)}
    assert sequence_of(context, given) == seconds(expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0, 0),
        (1795334400, 1795334400),
        ("1795334400", 1795334400),
        (LOGICAL, seconds(LOGICAL)),
        ("2026-09-01T00:00:00+00:00", seconds(LOGICAL)),
        ("2026-09-01T00:00:00Z", seconds(LOGICAL)),
        ("2026-09-01T02:00:00+02:00", seconds(LOGICAL)),
        (LOGICAL.astimezone(timezone(timedelta(hours=-5))), seconds(LOGICAL)),
    ],
)
def test_sequence_as_authors_write_it(given, expected):
    """Seconds, or a time with its zone, as such or as a template gives it."""
    assert sequence_of(make_context(), given) == expected


@pytest.mark.parametrize(
    "given",
    [-1, True, 1.5, "yesterday", "2026-09-01", "2026-09-01T00:00:00", datetime(2026, 9, 1), [], {"at": 1}],  # noqa: DTZ001
)
def test_what_is_no_sequence(given):
    """A time without a zone would mean another moment on each worker."""
    with pytest.raises(InvalidInput, match="sequence must be seconds since the epoch, or a time with its zone"):
        sequence_of(make_context(), given)


@pytest.mark.parametrize("given", ["", "ignore", None, ["skip"]])
def test_what_is_no_ending(given):
    """Both that there are are named."""
    with pytest.raises(InvalidInput, match='on_stale must be "fail" or "skip"'):
        check_on_stale(given)


@pytest.mark.parametrize(("on_stale", "ending"), [("fail", AirflowFailException), ("skip", AirflowSkipException)])
def test_stale_write_ends_the_task_without_a_retry(on_stale, ending):
    """With the words of the refusal."""
    with pytest.raises(ending, match="generation 7 stands"):
        raise_final(Mock(spec=Logger), StaleWrite("generation 7 stands"), check_on_stale(on_stale), environment="demo")


def test_stale_skip_is_a_warning_in_the_log():
    """Airflow says why a task was skipped in a collapsed group of its log, as information."""
    log = Mock(spec=Logger)
    with pytest.raises(AirflowSkipException):
        raise_final(log, StaleWrite("generation 7 stands"), "skip", environment="demo")
    [call] = log.warning.call_args_list
    assert "generation 7 stands" in call.args[0] % call.args[1:]
