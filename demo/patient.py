"""Requests to a server that may be too busy to answer in time: they are repeated, and the user is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

_BUSY_STATUSES = frozenset({500, 502, 503, 504})  # 500: Airflow, when SQLite is busy


class NoAnswerError(RuntimeError):
    """The server did not answer, or kept answering that it could not, until patience ran out."""


class PatientClient:
    """An HTTP client of one server.

    :param say: called with each line for the user.
    :param timeout: seconds for one request.
    :param patience: seconds after which a request is given up, however often it was made.
    :param pause: seconds between two requests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        say: Callable[[str], object] = print,
        timeout: float = 20.0,
        patience: float = 300.0,
        pause: float = 1.0,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=timeout, trust_env=False)
        self._say = say
        self._patience = patience
        self._pause = pause

    @property
    def headers(self) -> httpx.Headers:
        """What is sent with every request."""
        return self._http.headers

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Make a request until it is answered. A POST that may have got there is not made again: it could act twice.

        :raises NoAnswerError: there was no answer in time.
        """
        return self._ask(method, path, body, is_repeatable=method != "POST")[0]

    def make(self, path: str, body: dict[str, Any]) -> httpx.Response | None:
        """POST something with a unique name until there is an answer; None if an earlier attempt had created it.

        :raises NoAnswerError: there was no answer in time.
        """
        response, is_first = self._ask("POST", path, body, is_repeatable=True)
        return response if is_first or response.status_code != httpx.codes.CONFLICT else None

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, *, is_repeatable: bool
    ) -> tuple[httpx.Response, bool]:
        """Return the answer, and whether it is the answer to the first attempt."""
        begun, attempts = time.monotonic(), 0
        while True:
            attempts += 1
            try:
                response = self._http.request(method, path, json=body)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__} {error}".strip()
                may_repeat = is_repeatable or isinstance(error, httpx.ConnectError)  # it never reached the server
            else:
                if not (is_repeatable and response.status_code in _BUSY_STATUSES):
                    return response, attempts == 1
                problem, may_repeat = f"status {response.status_code}", True
            waited = time.monotonic() - begun
            if not may_repeat or waited > self._patience:
                raise NoAnswerError(f"{method} {path}: no answer in {waited:.0f} s: {problem}")
            self._say(f"… no answer for {waited:.0f} s, is the machine busy? Asking again: {method} {path} ({problem})")
            time.sleep(self._pause)

    def ask_once(self, path: str) -> httpx.Response | None:
        """GET something that may not be there yet; None if there was no answer."""
        try:
            return self._http.get(path)
        except httpx.TransportError:
            return None

    def close(self) -> None:
        """Close its connections."""
        self._http.close()
