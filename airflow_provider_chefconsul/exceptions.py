"""The errors that a user can meet. Each message says what is wrong first, then what to do.

    ChefConsulError
    ├── InvalidInput (also a ValueError)
    │   └── UnusableConnection
    ├── MissingExtra (also an ImportError)
    ├── MalformedDocument
    │   └── UnknownSchema
    ├── WriteRefused
    │   ├── StaleWrite
    │   ├── EnvironmentLeased
    │   ├── LeaseLost
    │   ├── TierFrozen
    │   └── RolloutAborted
    ├── NoMembers
    ├── NoDesiredState
    ├── NotDeclared
    ├── ValuesNotGood
    ├── Drifted
    ├── DuplicateNode
    ├── PrometheusError
    │   ├── PrometheusUnavailable
    │   └── QueryRejected
    └── ConsulError
        ├── ConsulUnavailable
        │   └── NoLeader
        ├── TLSFailed
        ├── AccessDenied
        ├── RequestTooLarge
        ├── TransactionConflict
        ├── RequestRejected
        └── SessionLost

The simulator and the pytest fixture define their own errors below the same root.
"""

from typing import Self


class ChefConsulError(Exception):
    """The root of all errors that this package raises deliberately."""


class InvalidInput(ChefConsulError, ValueError):
    """A name, value or parameter was refused before anything was sent to Consul."""


class UnusableConnection(InvalidInput):
    """An Airflow connection is missing, or one of its fields is invalid."""


class MissingExtra(ChefConsulError, ImportError):
    """A package that only some users need is not installed; the message names the extra that brings it."""


class MalformedDocument(ChefConsulError):
    """A key of the shared data view holds something other than the document that belongs there.

    :param problem: what is wrong with it.
    :param value: the beginning of what the key holds instead; it may contain names that not everybody may read.
    :param advice: what to do about it.
    """

    def __init__(self, key: str, problem: str, *, value: str = "", advice: str = "") -> None:
        self.key, self.problem, self.value, self.advice = key, problem, value, advice
        super().__init__(f"{key}: {problem}" + (f", not {value}" if value else "") + (f"; {advice}" if advice else ""))

    def advise(self, advice: str) -> Self:
        """A copy of the error that says what to do about it."""
        return type(self)(self.key, self.problem, value=self.value, advice=advice)


class UnknownSchema(MalformedDocument):
    """A document declares a schema that this version does not know."""

    def advise(self, _advice: str) -> Self:
        """The error as it is: nothing is wrong with the document, so nothing has to be put back."""
        return self


class WriteRefused(ChefConsulError):
    """A write was refused by one of its own conditions, such as ``allowed_from``; nothing was changed."""


class StaleWrite(WriteRefused):
    """A write was refused because the tier already has a desired state of a later logical time."""


class EnvironmentLeased(WriteRefused):
    """A write was refused because another Dag run holds the lease of the environment; it may succeed later."""


class LeaseLost(WriteRefused):
    """A write was refused because the lease of this Dag run was taken over; trying again does not help."""


class TierFrozen(WriteRefused):
    """A write was refused because somebody froze the tier; it may succeed when the freeze ends."""


class RolloutAborted(WriteRefused):
    """A write was refused because somebody aborted the rollout that it belongs to; trying again does not help."""


class NoMembers(ChefConsulError):
    """A tier has no members, so there is no node to act on or wait for; this never counts as success."""


class NoDesiredState(ChefConsulError):
    """A tier has no desired state yet."""


class NotDeclared(ChefConsulError):
    """The shared data view does not contain this environment, tier or node."""


class ValuesNotGood(ChefConsulError):
    """What one environment is assigned has not converged there, or not for long enough, so no other may have it."""


class Drifted(ChefConsulError):
    """More nodes than allowed do not match their assignments, or the audit could not find out."""


class DuplicateNode(ChefConsulError):
    """Another machine of the same name holds a slot or waits for one; both would share its ticket."""


class PrometheusError(ChefConsulError):
    """A Prometheus did not say what a metric is."""


class PrometheusUnavailable(PrometheusError):
    """Prometheus could not be reached, or did not answer; trying again may help."""


class QueryRejected(PrometheusError):
    """Prometheus refuses the query, or the query yields something other than numbers; trying again does not help."""


class ConsulError(ChefConsulError):
    """Consul could not be reached, or did not do what was asked."""


class ConsulUnavailable(ConsulError):
    """Consul is unreachable, answers too slowly or with a server error; trying again may help."""


class NoLeader(ConsulUnavailable):
    """Consul answers, but its servers have not elected a leader."""


class TLSFailed(ConsulError):
    """The TLS handshake failed because of the certificate, the CA or the client certificate."""


class AccessDenied(ConsulError):
    """The ACL token is unknown, or does not grant the permission that this needs."""


class RequestTooLarge(ConsulError):
    """The request exceeds Consul's limit (512 KiB for a value or a transaction, by default)."""


class TransactionConflict(ConsulError):
    """A check in a transaction failed because somebody else wrote first; none of the transaction was applied."""


class RequestRejected(ConsulError):
    """Consul rejected the request for another reason, which the message quotes."""


class SessionLost(ConsulError):
    """A remote execution lost its Consul session, so its nodes can no longer report to it."""
