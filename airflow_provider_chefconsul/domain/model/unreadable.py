"""What stands under a key in the place of the document that belongs there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_provider_chefconsul.exceptions import MalformedDocument


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that cannot be read, and why. A value, not an error: it says nothing of the other documents.

    :param problem: what is wrong with it.
    :param value: the start of what stands there instead; it may hold names that not everybody may read.
    :param advice: what to do about it.
    :param kind: the error that it is, where it has to be raised.
    """

    key: str
    problem: str
    value: str = ""
    advice: str = ""
    kind: type[MalformedDocument] = MalformedDocument

    @classmethod
    def of(cls, error: MalformedDocument) -> Unreadable:
        """What an error says; unlike a kept error, it keeps nothing of what its traceback and causes hold."""
        return cls(error.key, error.problem, error.value, error.advice, type(error))

    def error(self) -> MalformedDocument:
        """The error to raise."""
        return self.kind(self.key, self.problem, value=self.value, advice=self.advice)

    def without_value(self) -> Unreadable:
        """The same for those who may not read what stands under the key."""
        return replace(self, value="")

    def __str__(self) -> str:
        """The key, the problem and the advice, as the error says them."""
        return str(self.error())
