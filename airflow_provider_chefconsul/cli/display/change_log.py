"""What has changed between two looks at a tier, in lines."""

from __future__ import annotations

from airflow_provider_chefconsul.domain.verdict.tier_status import NodeStatus, TierStatus

_NAMED = 20  # nodes that one change names


def changes_between(
    environment: str, before: TierStatus | None, after: TierStatus, *, lists_all: bool = False
) -> list[str]:
    """The tier's headline where it differs, and a line for each node that stands otherwise.

    :param before: None at the first look, when only nodes that hold the tier up are named.
    :param lists_all: name every node, however many changed at once.
    """
    lines = [] if before and before.explanation.headline == after.explanation.headline else [after.explanation.headline]
    known = before.nodes if before else {}
    where = f"{environment}/{after.tier}"
    changed = [
        f"{where} {after.explanation.nodes[name]}"
        for name, node in after.nodes.items()
        if _gist(known.get(name)) != _gist(node) and (before or not node.has_converged)
    ]
    changed += [f"{where} {name}: is no member any more" for name in known if name not in after.nodes]
    if len(changed) > _NAMED and not lists_all:
        changed = [*changed[:_NAMED], f"{where} … and {len(changed) - _NAMED} nodes more; --all names them"]
    return lines + changed


def _gist(node: NodeStatus | None) -> object:
    """What makes a change: not the time that has passed."""
    return node and (node.standing, node.why, node.assigned and node.assigned.generation)
