"""The errors a user can meet: one tree, each message names the thing and what to do about it."""

from typing import Self


class ChefConsulError(Exception):
    """Root of every error that this package raises on purpose."""


class InvalidInput(ChefConsulError, ValueError):
    """A name, value or parameter that is refused before anything is sent to Consul."""


class UnusableConnection(InvalidInput):
    """An Airflow connection that is missing, or whose fields are refused."""


class MalformedDocument(ChefConsulError):
    """A key in the shared data view holds something other than the document that belongs there.

    :param problem: what is wrong with it.
    :param value: the start of what stands there instead; it may hold names that not everybody may read.
    :param advice: what to do about it.
    """

    def __init__(self, key: str, problem: str, *, value: str = "", advice: str = "") -> None:
        self.key, self.problem, self.value, self.advice = key, problem, value, advice
        super().__init__(f"{key}: {problem}" + (f", not {value}" if value else "") + (f"; {advice}" if advice else ""))

    def advise(self, advice: str) -> Self:
        """The same error with what to do about it."""
        return type(self)(self.key, self.problem, value=self.value, advice=advice)


class UnknownSchema(MalformedDocument):
    """A document says that it follows a schema which this version does not know."""


class WriteRefused(ChefConsulError):
    """A desired state was not written because a rule of its author forbids it from here."""


class StaleWrite(WriteRefused):
    """A desired state was not written because one that belongs to a later time stands."""


class EnvironmentLeased(WriteRefused):
    """A desired state was not written because another Dag run holds the environment."""


class LeaseLost(EnvironmentLeased):
    """A desired state was not written because the lease of this Dag run was taken over; it stays refused."""


class NoMembers(ChefConsulError):
    """A tier has no members, so there is nobody to act or to wait for; never taken for success."""


class NoDesiredState(ChefConsulError):
    """A tier has no desired state yet."""


class NotDeclared(ChefConsulError):
    """An environment, tier or node is not in the shared data view, so there is nothing to say of it."""


class ConsulError(ChefConsulError):
    """Consul could not be asked, or said no."""


class ConsulUnavailable(ConsulError):
    """Consul is unreachable, answers too slowly or with a server error; another try may succeed."""


class NoLeader(ConsulUnavailable):
    """Consul answers, but its servers have no leader."""


class TLSFailed(ConsulError):
    """The TLS handshake failed: certificate, CA or client certificate."""


class AccessDenied(ConsulError):
    """The ACL token is unknown, or may not do this."""


class RequestTooLarge(ConsulError):
    """The request exceeds Consul's limit (512 KiB for a value or a transaction, by default)."""


class TransactionConflict(ConsulError):
    """A check in a transaction failed: somebody else wrote first. Nothing of it was applied."""


class RequestRejected(ConsulError):
    """Consul rejected the request for another reason; its own words are in the message."""


class SessionLost(ConsulError):
    """A remote execution lost its Consul session, so its nodes can no longer report to it."""


class NameTaken(ChefConsulError):
    """A simulated fleet would mix with nodes that are not its own."""


class DagNotRun(ChefConsulError):
    """A Dag under test could not be run to its end."""


class Drifted(ChefConsulError):
    """More nodes than may be do not match what they were assigned, or nobody can say whether they do."""
