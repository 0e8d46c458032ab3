"""``airflow chefconsul simulate``: a fleet of simulated nodes to practise on, until it is interrupted."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from argparse import Namespace
from collections.abc import Iterable
from datetime import datetime, timedelta

from airflow_provider_chefconsul.exceptions import ChefConsulError, InvalidInput

INTERRUPTED, CLOSED_PIPE, TERMINATED = 130, 141, 143
_PATIENCE = timedelta(seconds=10)  # somebody sits in front of it
_TIER = re.compile(r"([^=]+)=(\d{1,6})")


def simulate(args: Namespace) -> None:
    """Simulate nodes until Ctrl-C, then take them out of the catalog.

    :param args: with ``environment``, ``tier`` (texts such as ``web=50``), ``fault`` (texts), ``seed``, ``seconds``,
        ``spread`` and ``conn_id``.
    :raises SystemExit: 130 after Ctrl-C, 143 after SIGTERM, 141 when nobody reads the output, 1 for an error, which is
        printed, 2 for an argument.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    try:
        sys.exit(asyncio.run(_simulate(args)))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at the end
        sys.exit(CLOSED_PIPE)
    except ChefConsulError as error:
        sys.stderr.write(f"airflow chefconsul simulate: {error}\n")
        sys.exit(2 if isinstance(error, InvalidInput) else 1)


def read_tiers(texts: Iterable[str]) -> dict[str, int]:
    """Read how many nodes each tier has.

    :raises InvalidInput: names the text that is not of the form ``web=50``, or a tier that is given twice.
    """
    tiers: dict[str, int] = {}
    for text in texts:
        match = _TIER.fullmatch(text)
        if match is None:
            raise InvalidInput(f"--tier {text!r} is not a name and a number of nodes, such as web=50")
        if match[1] in tiers:
            raise InvalidInput(f"--tier {text!r}: tier {match[1]} is given twice")
        tiers[match[1]] = int(match[2])
    return tiers


async def _simulate(args: Namespace) -> int:
    from airflow_provider_chefconsul.hooks.consul import ConsulHook
    from airflow_provider_chefconsul.simulator.fleet import Fleet, running
    from airflow_provider_chefconsul.simulator.plan import plan_fleet

    plan = plan_fleet(read_tiers(args.tier), args.fault or (), seed=args.seed, seconds=args.seconds, spread=args.spread)
    async with ConsulHook(args.conn_id).open_view(patience=_PATIENCE) as view:
        fleet = Fleet(view.client, args.environment, plan, tell=_tell)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, fleet.is_over.set)
        async with running(fleet):
            await fleet.is_over.wait()
    return TERMINATED


def _tell(line: str) -> None:
    sys.stdout.write(f"{datetime.now().astimezone():%H:%M:%S} {line}\n")
    sys.stdout.flush()
