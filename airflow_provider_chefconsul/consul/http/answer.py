"""Checks that an answer has the shape that Consul gives it. Standard library only.

A proxy or another service at the address may answer with JSON of its own. Unchecked, it would raise a Python error deep
inside, or pass for a write that succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_chefconsul.domain.count import parse_number

Check = Callable[[Any], bool]


def check_answer(method: str, path: str, answer: Any) -> None:
    """Refuse an answer whose shape is not Consul's for this request.

    :param path: only paths in the tables below are checked.
    :param answer: the parsed body, or a tuple of Consul's index and the body.
    :raises ValueError: says what was expected.
    """
    if isinstance(answer, tuple):
        index, answer = answer[0], answer[-1]
        if parse_number(index) is None:
            raise ValueError(f"its index is not a number: {index!r:.80}")
    if isinstance(answer, bytes):  # its reader decodes and checks it
        return
    for begin, expected, check in _READS if method == "GET" else _WRITES:
        if path.startswith(begin):
            if not check(answer):
                raise ValueError(f"it should be {expected}, not {answer!r:.80}")
            return


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_metadata(value: object) -> bool:
    return value is None or (isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values()))


def _is_entry(item: object) -> bool:
    if not isinstance(item, Mapping):
        return False
    value = item.get("Value")
    is_value = value is None or isinstance(value, bytes)
    return _is_text(item.get("Key")) and "Value" in item and is_value and type(item.get("ModifyIndex")) is int


def _is_kv(answer: object) -> bool:
    """None, one entry, or a list of entries or keys."""
    if answer is None or _is_entry(answer):
        return True
    return isinstance(answer, list) and all(_is_text(item) or _is_entry(item) for item in answer)


def _is_list_of(**fields: Check) -> Check:
    return lambda answer: (
        isinstance(answer, list)
        and all(
            isinstance(item, Mapping) and all(name in item and check(item[name]) for name, check in fields.items())
            for item in answer
        )
    )


def _is_links(answer: object) -> bool:
    return answer is None or _is_list_of(ID=_is_text)(answer)


def _is_transaction(answer: object) -> bool:
    return isinstance(answer, Mapping) and "Results" in answer and not answer.get("Errors")


_READS: tuple[tuple[str, str, Check], ...] = (
    ("/v1/kv/", "keys", _is_kv),
    ("/v1/catalog/nodes", "nodes", _is_list_of(Node=_is_text, Address=_is_text, Meta=_is_metadata)),
    ("/v1/catalog/services", "services", lambda answer: isinstance(answer, Mapping)),
    ("/v1/catalog/service/", "instances", _is_list_of(Node=_is_text, NodeMeta=_is_metadata)),
    (
        "/v1/catalog/datacenters",
        "datacenters",
        lambda answer: isinstance(answer, list) and bool(answer) and all(map(_is_text, answer)),
    ),
    ("/v1/health/state/", "checks", _is_list_of(Node=_is_text, CheckID=_is_text, Status=_is_text)),
    ("/v1/health/checks/", "checks", _is_list_of(Node=_is_text, Name=_is_text, Status=_is_text)),
    ("/v1/health/service/", "instances", _is_list_of(Node=lambda node: isinstance(node, Mapping))),
    ("/v1/status/leader", "an address", _is_text),
    (
        "/v1/acl/token/self",
        "a token",
        lambda answer: (
            isinstance(answer, Mapping) and all(map(_is_links, (answer.get("Policies"), answer.get("Roles"))))
        ),
    ),
    ("/v1/acl/role/", "a role", lambda answer: isinstance(answer, Mapping) and _is_links(answer.get("Policies"))),
    ("/v1/acl/policy/", "a policy", lambda answer: isinstance(answer, Mapping) and _is_text(answer.get("Rules"))),
    ("/v1/agent/version", "a version", lambda answer: isinstance(answer, Mapping) and "HumanVersion" in answer),
)
_WRITES: tuple[tuple[str, str, Check], ...] = (
    ("/v1/kv/", "true or false", lambda answer: isinstance(answer, bool)),
    ("/v1/internal/acl/authorize", "rights", _is_list_of(Allow=lambda allow: isinstance(allow, bool))),
    ("/v1/txn", "a transaction's results", _is_transaction),
)
