"""How to log in to hosts over SSH."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Login:
    """Whom to log in as, with what, and which host keys to trust. What is None is left to OpenSSH's usual places.

    :param port: None is 22.
    :param key_file: path to a private key.
    :param private_key: a private key itself; it comes before ``key_file``.
    :param passphrase: opens the private key.
    :param known_hosts: path to a file that lists hosts and their keys.
    :param host_key: the key that all hosts have, as ``type base64``, or as the base64 of an RSA key; comes before
        ``known_hosts``.
    :param is_host_key_checked: whether a host must have a trusted key.
    """

    user: str
    port: int | None = None
    password: str | None = field(default=None, repr=False)
    key_file: str | None = None
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    known_hosts: str | None = None
    host_key: str = ""
    is_host_key_checked: bool = True
