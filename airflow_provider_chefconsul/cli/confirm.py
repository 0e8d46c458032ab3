"""Asking before what cannot be taken back."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace

from airflow_provider_chefconsul.domain.text import many_lines
from airflow_provider_chefconsul.exceptions import InvalidInput, WriteRefused


def confirm(args: Namespace, question: str, *, what: str, refused: str) -> None:
    """Ask on the terminal, unless ``--yes`` has answered.

    :param what: what needs confirmation, for the error when there is nobody to ask.
    :param refused: what the error says when the answer is no.
    :raises InvalidInput: there is nobody to ask.
    :raises WriteRefused: the answer is no.
    """
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(f"{what} needs confirmation, but there is no terminal to ask on; pass --yes")
    sys.stderr.write(f"{many_lines(question)} [y/N] ")
    sys.stderr.flush()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio's own would wait for the answer first
    try:
        answer = sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, before)
    if answer.strip().lower() not in {"y", "yes"}:
        raise WriteRefused(refused)
