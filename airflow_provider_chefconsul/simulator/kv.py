"""The calls that a run makes to Consul: it reads and writes keys, and asks the agent for the machine's id.

On http.client: importing httpx or py-consul takes longer than a whole simulated run. It knows no proxies, which is
right for an agent on the same machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_chefconsul.exceptions import (
    AccessDenied,
    ConsulError,
    ConsulUnavailable,
    InvalidInput,
    RequestRejected,
)

OK, FORBIDDEN, NOT_FOUND, TOO_MANY_REQUESTS, SERVER_ERROR = 200, 403, 404, 429, 500


class KeyValue:
    """Consul's key-value store behind one address, and the agent there; each call is one attempt.

    :param url: ``http://HOST:PORT`` or ``https://HOST:PORT``, the latter with the system's certificate authorities.
    :param tenancy: namespace and partition of Consul Enterprise, by the names ``Namespace`` and ``Partition``.
    :raises InvalidInput: the address is not of that form.
    """

    def __init__(self, url: str, token: str | None = None, tenancy: Mapping[str, str] = MappingProxyType({})) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
            (parts.hostname or "").encode("idna")  # connecting does this too, but there it looks like a lost connection
        except ValueError as error:
            raise InvalidInput(f"Consul's address {url!r} is not a URL: {error}") from error
        if parts.username is not None or parts.password is not None:
            raise InvalidInput("Consul's address holds a user or password; put the ACL token into a file instead")
        is_bare = parts.path in {"", "/"} and not parts.query and not parts.fragment
        if parts.scheme not in {"http", "https"} or not parts.hostname or not port or not is_bare:
            raise InvalidInput(f"Consul's address {url!r} is not of the form http://HOST:PORT or https://HOST:PORT")
        if not (url.isascii() and url.isprintable()) or " " in url:
            raise InvalidInput(f"Consul's address {url!r} holds characters that a URL cannot have")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port = parts.hostname, port
        self._headers = {f"X-Consul-{name}": value for name, value in tenancy.items()}
        if token:
            self._headers["X-Consul-Token"] = token
        self._to_check = "partitions" if "Partition" in tenancy else "namespaces" if tenancy else ""

    def get(self, key: str, *, timeout: float) -> bytes | None:
        """Read one key in Consul's default consistency mode; None when it does not exist.

        :raises ConsulUnavailable: another try may succeed.
        :raises AccessDenied: never taken for a missing key, which Consul tells apart when one key is asked for.
        """
        status, answer, index = self._request("GET", f"kv/{key}?raw", None, timeout)
        if index is not None and status in {OK, NOT_FOUND}:
            return answer if status == OK else None
        raise RequestRejected(f"{self.url} answered {status} to a read of {key}, not as Consul does: {_words(answer)}")

    def put(self, key: str, value: str, *, timeout: float) -> None:
        """Write one key."""
        status, answer, _ = self._request("PUT", f"kv/{key}", value.encode(), timeout)
        if status != OK or answer.strip() != b"true":
            raise RequestRejected(f"Consul at {self.url} answered {status} to a write of {key}: {_words(answer)}")

    def entries(
        self, key: str, *, timeout: float, index: int = 0, wait: float = 0.0, is_prefix: bool = True
    ) -> tuple[int, list[dict[str, Any]]]:
        """Consul's index, and the entries below a prefix or the one of a key; none is an empty list.

        :param index: block until something changes after it, or for ``wait`` seconds.
        """
        query = f"index={index}&wait={wait:.3f}s" if index else "consistent"
        recurse = "recurse&" if is_prefix else ""
        status, answer, found = self._request("GET", f"kv/{key}?{recurse}{query}", None, timeout)
        if found is None or status not in {OK, NOT_FOUND}:
            raise RequestRejected(f"{self.url} answered {status} to a list of {key}: {_words(answer)}")
        return int(found), json.loads(answer) if status == OK else []

    def put_if(self, key: str, value: str, modify_index: int, *, timeout: float) -> bool:
        """Write a key if its ModifyIndex is still this one (0: if it does not exist); whether Consul did."""
        return self._is_done("PUT", f"kv/{key}?cas={modify_index}", value.encode(), timeout)

    def delete_if(self, key: str, modify_index: int, *, timeout: float) -> bool:
        """Delete a key if its ModifyIndex is still this one; whether Consul did."""
        return self._is_done("DELETE", f"kv/{key}?cas={modify_index}", None, timeout)

    def _is_done(self, method: str, path: str, body: bytes | None, timeout: float) -> bool:
        status, answer, _ = self._request(method, path, body, timeout)
        if status != OK or answer.strip() not in {b"true", b"false"}:
            raise RequestRejected(f"Consul at {self.url} answered {status} to {method} {path}: {_words(answer)}")
        return answer.strip() == b"true"

    def read_node_id(self, node: str, *, timeout: float) -> str | None:
        """Consul's id of the machine that the agent at this address runs on.

        None when it cannot be read, or the agent is another node's: no run fails for lack of it.
        """
        try:
            status, answer, _ = self._request("GET", "agent/self", None, timeout)
            config = json.loads(answer)["Config"] if status == OK else {}
            found = config["NodeID"] if config.get("NodeName") == node else None
        except (ConsulError, ValueError, LookupError, TypeError, AttributeError):
            return None
        return found if isinstance(found, str) and found else None

    def _request(self, method: str, path: str, body: bytes | None, timeout: float) -> tuple[int, bytes, str | None]:
        if self._to_check:  # a Consul without them may ignore the headers
            with suppress(AccessDenied):  # whether the token may read the list does not matter
                if self._send("GET", self._to_check, None, timeout)[0] == NOT_FOUND:
                    raise RequestRejected(f"Consul at {self.url} has no {self._to_check}; only Consul Enterprise does")
            self._to_check = ""
        return self._send(method, path, body, timeout)

    def _send(self, method: str, path: str, body: bytes | None, timeout: float) -> tuple[int, bytes, str | None]:
        # Keys are made of names, which need no quoting.
        try:
            with closing(self._connection(self._host, self._port, timeout=timeout)) as connection:
                connection.request(method, f"/v1/{path}", body, self._headers)
                response = connection.getresponse()
                answer = response.read()
        except TimeoutError as error:
            problem = f"did not answer within {timeout:.1f} s, as it does while its servers have no leader"
            raise ConsulUnavailable(f"Consul at {self.url} {problem}") from error
        except (OSError, HTTPException) as error:
            raise ConsulUnavailable(f"Consul at {self.url} is unreachable: {type(error).__name__}: {error}") from error
        if response.status == FORBIDDEN:
            raise AccessDenied(
                f"Consul at {self.url} refused {method} {path.removeprefix('kv/')} to this token: {_words(answer)}"
            )
        if response.status == TOO_MANY_REQUESTS or response.status >= SERVER_ERROR:
            raise ConsulUnavailable(f"Consul at {self.url} answered {response.status}: {_words(answer)}")
        return response.status, answer, response.headers["X-Consul-Index"]


def read_token(path: Path) -> str:
    """Read an ACL token from a file, without the white space around it.

    :raises InvalidInput: the file does not exist or does not hold one token.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"token file {path} cannot be read: {error}") from error
    if not token.isprintable() or not token or " " in token:
        raise InvalidInput(f"token file {path} must hold one ACL token and nothing else")
    return token


def _words(answer: bytes) -> str:
    return " ".join(answer[:300].decode(errors="replace").split()) or "no reason given"
