"""What has changed between two looks at a tier, one line each."""

from __future__ import annotations

from airflow_provider_chefconsul.cli.display.shown_tier import ShownTier
from airflow_provider_chefconsul.domain.explanation.freeze import explain_freeze
from airflow_provider_chefconsul.domain.explanation.node import describe_reason
from airflow_provider_chefconsul.domain.model.freeze import NOT_FROZEN
from airflow_provider_chefconsul.domain.text import cut_lines
from airflow_provider_chefconsul.domain.verdict.standing import NodeStatus

_NAMED = 20  # nodes that one change names


def changes_between(before: ShownTier | None, after: ShownTier, *, lists_all: bool = False) -> list[str]:
    """The tier's headline, what keeps it frozen, who left its canary out, and each node's status, where they changed.

    :param before: None for the first look, which names only nodes that hold the tier up.
    :param lists_all: name every node, however many changed at once.
    """
    lines = [] if before and before.explanation.headline == after.explanation.headline else [after.explanation.headline]
    known = before.status.nodes if before else {}
    tier_path = f"{after.environment}/{after.tier}"
    if after.freeze != (before.freeze if before else NOT_FROZEN):
        lines += [
            f"{tier_path}: {each}"
            for each in explain_freeze(after.environment, after.tier, after.freeze, now=after.now)
            or ["no longer frozen"]
        ]
    if after.orphan is not None and after.orphan != (before and before.orphan):
        lines.append(f"{tier_path}: {after.explanation.orphaned}")
    named = [
        name
        for name, node in after.status.nodes.items()
        if _gist(known.get(name)) != _gist(node) and (before or not node.has_converged)
    ]
    changed = [str(each) for each in after.explain(named)]
    changed += [f"{name}: is no longer a member" for name in known if name not in after.status.nodes]
    if not lists_all:
        changed = cut_lines(changed, _NAMED, "nodes; --all names them")
    return lines + [f"{tier_path} {line}" for line in changed]


def _gist(node: NodeStatus | None) -> object:
    """What counts as a change; ages do not."""
    return node and (node.standing, describe_reason(node), node.assigned and node.assigned.generation)
