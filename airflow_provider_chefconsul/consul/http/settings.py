"""How to connect to a Consul. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address

from airflow_provider_chefconsul.consul.http.blocking import LONGEST_WAIT
from airflow_provider_chefconsul.consul.keys import DEFAULT_ROOT


@dataclass(frozen=True, slots=True)
class ConsulSettings:
    """How to connect to a Consul.

    :param verify: whether to verify the server's certificate, or the path of a CA bundle.
    :param cert: path of the client certificate; ``key`` is the path of its key.
    :param namespace: of Consul Enterprise, as ``partition`` is; None leaves both to the token.
    :param root: the prefix of every key of the shared data view.
    :param wait: how long a query may block; must be below the idle timeout of any proxy in between.
    """

    host: str
    port: int
    scheme: str = "http"
    token: str | None = field(default=None, repr=False)
    root: str = DEFAULT_ROOT
    datacenter: str | None = None
    namespace: str | None = None
    partition: str | None = None
    verify: bool | str = True
    cert: str | None = None
    key: str | None = None
    wait: timedelta = LONGEST_WAIT

    @property
    def url(self) -> str:
        """The base address, without a token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def tenancy(self) -> Mapping[str, str]:
        """Namespace and partition as far as they are set, by the names of Consul's JSON fields."""
        named = {"Namespace": self.namespace, "Partition": self.partition}
        return {name: value for name, value in named.items() if value}

    @property
    def tenancy_headers(self) -> Mapping[str, str]:
        """Namespace and partition, as headers of a request."""
        return {f"X-Consul-{name}": value for name, value in self.tenancy.items()}

    @property
    def is_local(self) -> bool:
        """Whether the agent runs on this machine, as far as its address says."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False
