"""What has changed between two looks at a tier, in lines."""

from __future__ import annotations

from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus

_NAMED = 20  # nodes that one change names


def changes_between(before: ShownTier | None, after: ShownTier, *, lists_all: bool = False) -> list[str]:
    """The tier's headline where it differs, and a line for each node that stands otherwise.

    :param before: None at the first look, when only nodes that hold the tier up are named.
    :param lists_all: name every node, however many changed at once.
    """
    lines = [] if before and before.explanation.headline == after.explanation.headline else [after.explanation.headline]
    known = before.status.nodes if before else {}
    tier_path = f"{after.environment}/{after.tier}"
    changed = [
        f"{tier_path} {after.nodes[name]}"
        for name, node in after.status.nodes.items()
        if _gist(known.get(name)) != _gist(node) and (before or not node.has_converged)
    ]
    changed += [f"{tier_path} {name}: is no member any more" for name in known if name not in after.status.nodes]
    if len(changed) > _NAMED and not lists_all:
        changed = [*changed[:_NAMED], f"{tier_path} … and {len(changed) - _NAMED} more nodes; --all names them"]
    return lines + changed


def _gist(node: NodeStatus | None) -> object:
    """What makes a change: not the time that has passed."""
    return node and (node.standing, describe_reason(node), node.assigned and node.assigned.generation)
