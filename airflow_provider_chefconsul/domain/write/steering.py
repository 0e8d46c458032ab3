"""Steering a rollout that is going on: promoting its canary early, or calling it off. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from airflow_provider_chefconsul.domain.model.desired import Aborted, Canary, DesiredState
from airflow_provider_chefconsul.domain.model.journal import JournalAct
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.write.decision import Basis, Decision, Refused, Unchanged, Write


@dataclass(frozen=True, slots=True)
class Promotion:
    """A request to give all nodes of a tier its canary's assignment now.

    :param generation: refuse to promote any other canary; None allows any.
    """

    writer: Writer
    reason: str = ""
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Abort:
    """A request to roll a tier's canary back, and to let no further wave of its rollout begin.

    :param generation: refuse to abort any other canary; None allows any.
    """

    writer: Writer
    reason: str
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class RolloutEnd:
    """How a rollout was ended from outside: it was promoted, or else aborted."""

    is_promoted: bool
    reason: str


def find_end(desired: DesiredState, generation: int) -> RolloutEnd | None:
    """How the rollout with this canary was ended; None while it goes on, or when something else came of it."""
    if desired.aborted is not None and desired.aborted.generation == generation:
        return RolloutEnd(is_promoted=False, reason=str(desired.aborted))
    if desired.canary is None and desired.stable.generation == generation:
        who = f"{desired.written_by} at {desired.written_at}"
        return RolloutEnd(is_promoted=True, reason=f"generation {generation} was promoted by {who}")
    return None


def find_gated(desired: DesiredState, history: Mapping[int, DesiredState], writer: Writer) -> int | None:
    """The generation of the canary that a gate is about; None when it is about no rollout.

    :param history: by generation, the desired state as first written.
    :param writer: the gate's task, whose Dag run's rollout may have been ended before the gate began.
    """
    if desired.canary is not None:
        return desired.canary.assignment.generation
    if desired.aborted is not None and desired.aborted.is_of(writer):
        return desired.aborted.generation
    generation = desired.stable.generation
    begun = history.get(generation)
    if begun is None or not begun.is_of_canary(generation) or not begun.written_by.is_same_run(writer):
        return None
    # What its own last wave promoted has gone all the way, and a gate after that measures it.
    return None if desired.written_by.is_same_run(writer) else generation


def find_rollout(basis: Basis) -> Writer | None:
    """Who began the canary that is out; None when none is out."""
    current = basis.current
    return find_owner(current, basis.history) if current is not None and current.canary is not None else None


def find_owner(current: DesiredState, history: Mapping[int, DesiredState]) -> Writer:
    """Who may steer a tier: whoever declared its newest generation; else, without its history, whoever wrote last.

    Not whoever promoted it, or rolled the canary beside it back: these made no generation of their own.
    """
    return history.get(current.newest.generation, current).written_by


def plan_promotion(basis: Basis, promotion: Promotion) -> Decision:
    """Decide a promotion. It keeps the generation, so that the nodes that have it already do nothing."""
    match basis.current:
        case DesiredState(canary=Canary() as canary) if other := _find_other(canary, promotion.generation):
            return other
        case DesiredState(canary=Canary() as canary, stable=stable) as current:
            promoted = replace(current, stable=canary.assignment, canary=None, previous=stable.generation)
            return _sign(promoted, basis, promotion.writer, canary.assignment.generation, JournalAct.PROMOTED)
        case DesiredState(stable=stable, written_by=writer) if writer == promotion.writer:
            return Unchanged(stable.generation)
        case current:
            return _without_canary(current, "promote")


def plan_abort(basis: Basis, abort: Abort) -> Decision:
    """Decide an abort: the canary's nodes return to the generation that all others have kept."""
    match basis.current:
        case DesiredState(canary=Canary() as canary) if other := _find_other(canary, abort.generation):
            return other
        case DesiredState(canary=Canary(assignment=assignment), stable=stable) as current:
            begun_by = find_rollout(basis) or current.written_by
            aborted = Aborted(begun_by.dag_id, begun_by.run_id, assignment.generation, abort.writer, abort.reason)
            back = replace(current, canary=None, aborted=aborted)
            return _sign(back, basis, abort.writer, stable.generation, JournalAct.ROLLED_BACK)
        case DesiredState(stable=stable, aborted=Aborted(by=writer)) if writer == abort.writer:
            return Unchanged(stable.generation)
        case current:
            return _without_canary(current, "abort")


def _sign(desired: DesiredState, basis: Basis, writer: Writer, generation: int, act: JournalAct) -> Write:
    signed = replace(desired, written_by=writer, written_at=basis.written_at)
    return Write(signed, generation, is_new=False, act=act)


def _find_other(canary: Canary, generation: int | None) -> Refused | None:
    """The refusal when another canary is out than the one that is meant."""
    out = canary.assignment.generation
    if generation in {None, out}:
        return None
    return Refused(f"the canary of generation {generation} is no longer out; generation {out} is", is_stale=True)


def _without_canary(current: DesiredState | None, act: str) -> Refused:
    if current is None:
        return Refused(f"the tier has no desired state, so there is nothing to {act}")
    # Whoever comes second must not go back once more; a rollout that was aborted before a newer one explains nothing.
    aborted = current.aborted
    by_whom = f"; {aborted}" if aborted is not None and aborted.generation == current.generation else ""
    return Refused(
        f"no canary is out, so there is nothing to {act}: all nodes are assigned {current.stable.describe()}, "
        f"written by {current.written_by} at {current.written_at}{by_whom}"
    )
