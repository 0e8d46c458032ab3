"""Turns failed requests to Consul into errors that a user can act on."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from difflib import get_close_matches

import httpx

from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.exceptions import (
    AccessDenied,
    ConsulError,
    ConsulUnavailable,
    NoLeader,
    RequestRejected,
    RequestTooLarge,
    TLSFailed,
    TransactionConflict,
)

_NO_LEADER = ("No cluster leader", "No known Consul servers", "leadership lost", "raft is not leader")
_LARGEST_BODY = 512 << 10  # bytes
_LIMITS = "by default Consul accepts at most 512 KiB for a value or a transaction"
_RESETS = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
_NAMED = 3  # keys
_TOO_MANY = (
    "; if Consul is healthy, this address has too many connections to it: see limits.http_max_conns_per_client in its "
    "configuration (default 200)"
)


# By how a path begins, what reading all of its list requires.
_RIGHTS = (
    ("/v1/kv/", "key_prefix read for all of it"),
    ("/v1/catalog/nodes", 'node_prefix "" read'),
    ("", 'node_prefix "" read and service_prefix "" read'),
)


class QueryCut(ConsulUnavailable):
    """A proxy ended a blocking query before Consul was due to answer; not an outage."""


def status_error(status: int, body: str, url: str, *, sent: str = "") -> ConsulError:
    """The error for an HTTP status that is not success; 404 is an answer, not an error.

    :param sent: the request's body; that of a transaction has the keys which its answer only counts.
    """
    words = f"{url}: {status} {' '.join(body.split())[:500]}"
    match status:
        case 409 if "Permission denied" not in body:  # a transaction reports it as a conflict
            return TransactionConflict(words)
        case 401 | 403 | 409:
            what = list_some(_denied_keys(body, sent), _NAMED) or "this"
            return AccessDenied(f"{words}: Consul refuses the ACL token for {what}; check the connection's password")
        case 413:
            return RequestTooLarge(f"{words}: {_LIMITS}")
        case _ if "exceeds configured limit" in body:  # of an event; reported as a server error
            return RequestTooLarge(words)
        case 429:
            return ConsulUnavailable(f"{words}: Consul limits the rate of requests")
        case _ if status >= httpx.codes.INTERNAL_SERVER_ERROR and any(phrase in body for phrase in _NO_LEADER):
            return NoLeader(f"{words}: Consul's servers have no leader; look at `consul operator raft list-peers`")
        case _ if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return ConsulUnavailable(words)
        case _:
            return RequestRejected(words)


def _denied_keys(body: str, sent: str) -> list[str]:
    """The keys of a transaction that the token may not write."""
    try:
        operations = json.loads(sent)
        return [operations[error["OpIndex"]]["KV"]["Key"] for error in json.loads(body)["Errors"]]
    except (ValueError, TypeError, LookupError, RecursionError):  # no transaction, or not only of keys
        return []


def unknown_datacenter(base_uri: str, datacenter: str, answer: bytes) -> RequestRejected | None:
    """The error for a datacenter that Consul does not know; None if it knows it.

    :param answer: of ``/v1/catalog/datacenters``, which also lists unreachable ones.
    """
    try:
        known = [str(name) for name in json.loads(answer)]
    except (ValueError, TypeError):
        return None
    if not known or datacenter in known:
        return None
    near = get_close_matches(datacenter, known, n=1)
    hint = f"did you mean {near[0]!r}" if near else f"it knows {', '.join(sorted(known)[:8])}"
    return RequestRejected(
        f"{base_uri}: Consul knows no datacenter {datacenter!r}; {hint}: check the connection's datacenter"
    )


def partial_list(base_uri: str, path: str) -> AccessDenied:
    """The error for a list of which Consul, since 1.11, says that it left out what the token may not read."""
    rights = next(rights for begin, rights in _RIGHTS if path.startswith(begin))
    return AccessDenied(f"{base_uri}{path}: the ACL token may read only part of this list; give its policy {rights}")


def lacks_tenancy(base_uri: str, tenancy: Mapping[str, str]) -> RequestRejected:
    """The error for a namespace or partition on a Consul that has none."""
    field = "partition" if "Partition" in tenancy else "namespace"
    return RequestRejected(
        f"{base_uri}: this Consul has no {field}s, a feature of Consul Enterprise; leave the connection's {field} empty"
    )


def transport_error(error: httpx.HTTPError | OSError, base_uri: str, *, size: int = 0) -> ConsulError:
    """The error for a connection that failed.

    :param size: bytes sent. Consul cuts off a body that is too large, often before its answer is read.
    """
    words = str(error) or type(error).__name__
    if size > _LARGEST_BODY and isinstance(error, _RESETS):
        return RequestTooLarge(
            f"{base_uri}: the connection was cut while sending {size} bytes ({words}): {_LIMITS}; send less"
        )
    if _is_tls_failure(error):
        return TLSFailed(f"{base_uri}: {words}; check the connection's schema, verify, cert and key")
    return ConsulUnavailable(f"{base_uri} cannot be reached: {words}{_TOO_MANY if isinstance(error, _RESETS) else ''}")


def _is_tls_failure(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))  # the peer went away: try again
        error = error.__cause__ or error.__context__
    return False
