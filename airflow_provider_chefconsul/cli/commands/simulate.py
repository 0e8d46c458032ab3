"""``airflow chefconsul simulate``: a fleet of simulated nodes to practise on, until it is interrupted."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterable
from datetime import datetime

from airflow_provider_chefconsul.cli.command import command, open_view
from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.exceptions import InvalidInput
from airflow_provider_chefconsul.simulator.fault import GRAMMAR, UnreadableFault
from airflow_provider_chefconsul.simulator.fleet import Fleet
from airflow_provider_chefconsul.simulator.plan import plan_fleet

_TIER = re.compile(r"([^=]+)=(\d{1,6})")


@command
async def simulate_command(args: Namespace, output: Output) -> ExitCode:
    """Simulate nodes until Ctrl-C or SIGTERM, then take them out of the catalog."""
    try:
        plan = plan_fleet(parse_fleet(args.tier), args.fault, seed=args.seed, seconds=args.seconds, spread=args.spread)
    except UnreadableFault as error:
        output.error(error.problem, explanation=GRAMMAR)
        return ExitCode.USAGE
    async with open_view(args) as view:
        await Fleet(
            view.client,
            args.environment,
            plan,
            tell=lambda line: output.line(f"{datetime.now().astimezone():%H:%M:%S} {line}"),
        ).run()
    return ExitCode.OK


def parse_fleet(texts: Iterable[str]) -> dict[str, int]:
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
