"""One orchestrator per environment: the lease's document, and when a lease expires."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_chefconsul.domain.model.lease import (
    LONGEST_TTL,
    SHORTEST_TTL,
    DagRun,
    Lease,
    LeaseObservation,
    check_ttl,
)
from airflow_provider_chefconsul.exceptions import InvalidInput, MalformedDocument, UnknownSchema
from tests.support.factory import NOW, make_lease, make_writer

KEY = "chefconsul/demo/_lease"
TTL = timedelta(minutes=5)


def test_lease_begins_and_is_renewed():
    """Renewing changes only the expiry, not holder, beginning and reason."""
    lease = Lease.begin(DagRun.of(make_writer()), TTL, "upgrade to 2.5.0", now=NOW)
    assert lease == make_lease()
    renewed = lease.renew(now=NOW + timedelta(minutes=3))
    assert renewed == make_lease(expires_at="2026-11-22T08:08:00Z")


def test_holder_is_a_dag_run():
    """Not one of its tasks, so a lease outlives them."""
    holder = DagRun.of(make_writer(task_id="web.set", map_index=3))
    assert holder == DagRun.of(make_writer(task_id="app.set"))
    assert holder != DagRun.of(make_writer(run_id="manual__2"))
    assert holder != DagRun.of(make_writer(dag_id="other"))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "upgrade to 2.5.0",
            "held by Dag shop_rollout, run manual__1 since 2026-11-22T08:00:00Z: upgrade to 2.5.0",
        ),
        ("", "held by Dag shop_rollout, run manual__1 since 2026-11-22T08:00:00Z"),
    ],
)
def test_lease_in_words(reason, words):
    """Holder, beginning and reason."""
    assert make_lease(reason=reason).describe() == words


@given(
    st.builds(
        make_lease,
        holder=st.builds(DagRun, st.text(), st.text()),
        ttl=st.integers(1, int(LONGEST_TTL.total_seconds())).map(lambda seconds: timedelta(seconds=seconds)),
        acquired_at=st.text(),
        expires_at=st.text(),
        reason=st.text(),
    )
)
def test_json_form_round_trips(lease):
    """A lease reads back as the same, even with fields that a later version adds."""
    assert Lease.from_json(KEY, lease.to_json().encode()) == lease
    fields = json.loads(lease.to_json()) | {"added_later": {"by": ["a", "later", "version"]}}
    assert Lease.from_json(KEY, json.dumps(fields)) == lease


def test_reason_may_be_missing():
    """It is for people."""
    fields = json.loads(make_lease().to_json())
    assert Lease.from_json(KEY, json.dumps(fields | {"reason": None})) == make_lease(reason="")
    del fields["reason"]
    assert Lease.from_json(KEY, json.dumps(fields)) == make_lease(reason="")


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"schema": 2}, UnknownSchema, "schema 2 is unknown"),
        ({"holder": "shop_rollout"}, MalformedDocument, "field holder must be an object"),
        ({"holder": {"dag_id": "shop_rollout"}}, MalformedDocument, "field holder.run_id is missing"),
        ({"holder": {"dag_id": 5, "run_id": "1"}}, MalformedDocument, "field holder.dag_id must be a string, not 5"),
        ({"ttl_seconds": 0}, MalformedDocument, "field ttl_seconds must be from 1 to 86400, not 0"),
        ({"ttl_seconds": 1.5}, MalformedDocument, "field ttl_seconds must be an integer, not 1.5"),
        ({"ttl_seconds": 10**18}, MalformedDocument, "field ttl_seconds must be from 1 to 86400"),
        ({"acquired_at": None}, MalformedDocument, "field acquired_at must be a string"),
        ({"reason": ["upgrade"]}, MalformedDocument, "field reason must be a string"),
    ],
)
def test_malformed_lease_is_refused(fields, error, words):
    """The error names the key and the field."""
    with pytest.raises(error) as caught:
        Lease.from_json(KEY, json.dumps(json.loads(make_lease().to_json()) | fields))
    assert KEY in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", [None, b"", "{", "[]", "5", b"\xff"])
def test_any_text_is_a_lease_or_an_error(text):
    """The error names the key."""
    with pytest.raises(MalformedDocument, match=KEY):
        Lease.from_json(KEY, text)


@pytest.mark.parametrize("ttl", [SHORTEST_TTL, TTL, LONGEST_TTL])
def test_ttl_within_bounds(ttl):
    """Bounds included."""
    assert check_ttl(ttl) == ttl


@pytest.mark.parametrize(
    "ttl",
    [SHORTEST_TTL - timedelta(seconds=1), LONGEST_TTL + timedelta(seconds=1), timedelta(0), -TTL, 300, "5m", None],
)
def test_ttl_out_of_bounds_is_refused(ttl):
    """The error names the bounds."""
    with pytest.raises(InvalidInput) as caught:
        check_ttl(ttl)
    assert str(caught.value) == f"ttl must be a timedelta from 0:00:30 to 1 day, 0:00:00, not {ttl!r}"


# Expiry ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "remaining"),
    [
        ([(7, 1000)], 300),
        ([(7, 1000), (7, 1299)], 1),
        ([(7, 1000), (7, 1300)], 0),
        ([(7, 1000), (7, 1400)], -100),
        ([(7, 1000), (8, 1299)], 300),
        ([(7, 1000), (8, 1299), (8, 1300)], 299),
        ([(7, 1000), (8, 1200), (7, 1300)], 300),
    ],
    ids=["first", "unrenewed", "expired", "long expired", "renewed", "then unrenewed", "index went back"],
)
def test_expiry_by_the_watchers_clock(seen, remaining):
    """A lease expires one ttl after a watcher first saw its current ModifyIndex."""
    (index, now), *later = seen
    observation = LeaseObservation(index, now)
    for index, now in later:
        observation = observation.observe(index, now=now)
    assert observation.remaining(make_lease(), now=now) == remaining


def test_outage_restarts_the_observation():
    """Nobody can renew while Consul is unavailable, so that time does not count against the holder."""
    observation = LeaseObservation(7, 1000).observe(7, now=1290, is_interrupted=True)
    assert observation.remaining(make_lease(), now=1290) == 300
    assert observation.observe(7, now=1300).remaining(make_lease(), now=1300) == 290


@given(
    st.integers(30, 600),
    st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=12),
    st.sampled_from(["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "yesterday"]),
)
def test_lease_that_is_renewed_in_time_never_expires(ttl, looks, expires_at):
    """It expires only if no look within the ttl sees a change, whatever its holder's clock says."""
    lease = make_lease(ttl=timedelta(seconds=ttl), expires_at=expires_at)
    index, now, since = 1, 0, 0
    observation = LeaseObservation(index, now)
    for pause, is_renewed in looks:
        now += pause
        if is_renewed:
            index, since = index + 1, now
        observation = observation.observe(index, now=now)
        assert (observation.remaining(lease, now=now) <= 0) == (now - since >= ttl)
