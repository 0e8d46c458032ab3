"""Shared by the commands that write: printing what was written, and waiting until the tiers have converged."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_chefconsul.cli.display.output import Output
from airflow_provider_chefconsul.cli.exit_code import ExitCode
from airflow_provider_chefconsul.consul.verdict_journal import journal_verdicts
from airflow_provider_chefconsul.consul.wait import begin_waits, find_early_failures, wait_for_tiers
from airflow_provider_chefconsul.domain.model.membership import Selector
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.verdict.policy import ConvergencePolicy
from airflow_provider_chefconsul.domain.write.decision import Unchanged, Write, describe_decision
from airflow_provider_chefconsul.triggers.outcome import Ending, Outcome

if TYPE_CHECKING:
    from airflow_provider_chefconsul.consul.view import SharedView


def print_decisions(
    output: Output, environment: str, decisions: Mapping[str, Write | Unchanged], *, done: str = ""
) -> None:
    """Print for each tier what was written.

    :param done: what to call the write, if not just a change: "rolled back".
    """
    for tier, decision in decisions.items():
        output.line(f"{environment}/{tier}: {describe_decision(decision, done=done)}")


async def wait_until_converged(
    view: SharedView,
    environment: str,
    generations: Mapping[str, int],
    selectors: Mapping[str, Selector],
    policy: ConvergencePolicy,
    *,
    by: Writer,
    output: Output,
) -> ExitCode:
    """Wait as ``ConvergedSensor`` does, and print what held the wait up.

    :param by: who waits, for the journal.
    """
    tiers = list(generations)
    waits = await begin_waits(
        view, environment, tiers, generations=generations, timeout=policy.timeout, selectors=selectors
    )
    results = await wait_for_tiers(view, environment, waits, selectors, policy, on_progress=output.line)
    await journal_verdicts(view, environment, results, by, selectors=selectors)
    early_failures = await find_early_failures(view, environment, results)
    outcome = Outcome.from_results(environment, results, early_failures)
    assert outcome is not None  # without a limit of its own, a wait ends with an outcome
    for line in outcome.lines:
        output.line(line)
    if outcome.ending is Ending.CONVERGED:
        return ExitCode.OK
    output.error(outcome.reason)
    return ExitCode.NOT_CONVERGED


def print_result(output: Output, args: Namespace, generations: Mapping[str, int], code: ExitCode) -> ExitCode:
    """Print the JSON of a command that wrote, and return its exit code."""
    if output.is_json:
        fields: dict[str, Any] = {"environment": args.environment, "generations": dict(generations)}
        output.document(fields | ({"converged": code is ExitCode.OK} if args.wait else {}))
    return code
