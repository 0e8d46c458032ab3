"""What is to be run where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

_LABEL = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\.?")


@dataclass(frozen=True, slots=True)
class Target:
    """A host and the command for it.

    :param address: a host name or an IP address; what is neither is never connected to.
    :param command: for the login shell of the user there.
    """

    address: str
    command: str

    @property
    def has_usable_address(self) -> bool:
        """Whether the address is a host name or an IP address by its form."""
        try:
            ip_address(self.address)
        except ValueError:
            return _HOST_NAME.fullmatch(self.address) is not None
        return True
