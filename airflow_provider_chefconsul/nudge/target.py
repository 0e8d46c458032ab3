"""A host, and the command to run there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

_LABEL = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\.?")


@dataclass(frozen=True, slots=True)
class Target:
    """A host and its command.

    :param address: a host name or an IP address; nobody connects to anything else.
    :param command: for the login shell of the user there.
    """

    address: str
    command: str

    @property
    def has_usable_address(self) -> bool:
        """Whether the address has the form of a host name or an IP address."""
        try:
            ip_address(self.address)
        except ValueError:
            return _HOST_NAME.fullmatch(self.address) is not None
        return True
