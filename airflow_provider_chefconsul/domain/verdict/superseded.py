"""What replaced a generation that is waited for, and who wrote that."""

from __future__ import annotations

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState


def describe_replaced(desired: DesiredState, other: Assignment) -> str:
    """A generation's number was given again.

    :param other: the assignment that has the number now.
    """
    return (
        f"generation {other.generation} is no longer the one waited for: the tier was deleted or restored meanwhile, "
        f"and its number given to state {other.state}, written by {desired.written_by} at {desired.written_at}"
    )


def describe_superseded(desired: DesiredState, generation: int) -> str:
    """No node is assigned the generation any more."""
    if generation > desired.generation:
        return (
            f"generation {generation} is ahead of the desired state, which is at generation {desired.generation}: "
            f"the key was restored or rewritten by hand"
        )
    if desired.aborted is not None and desired.aborted.generation == generation:
        return f"{desired.aborted} (at {desired.written_at})"
    newest = desired.newest
    became = "is superseded by" if generation < newest.generation else "was rolled back to"
    return (
        f"generation {generation} {became} generation {newest.generation}, state {newest.state}, "
        f"written by {desired.written_by} at {desired.written_at}"
    )
