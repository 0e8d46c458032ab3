"""What is said of an entry of the journal."""

from __future__ import annotations

from airflow_provider_chefconsul.domain.model.journal import JournalAct, JournalEntry

_ACTS = {
    JournalAct.ROLLED_BACK: "rolled back to",
    JournalAct.PACED: "changed the pace of",
    JournalAct.CONVERGED: "converged on",
    JournalAct.FAILED: "failed to reach",
    JournalAct.LEASE_TAKEN: "took the lease of",
    JournalAct.LEASE_BROKEN: "broke the lease of",
    JournalAct.GATE_FAILED: "gate failed for",
    JournalAct.SLOT_FREED: "freed the slot of",
}
_WHOLE = "the environment"


def describe_entry(entry: JournalEntry) -> str:
    """Which tiers, what happened to them, who did it and why, in one line."""
    about = "; ".join(describe_act(entry))
    wave = f", {entry.wave}" if entry.wave else ""
    why = f": {entry.reason}" if entry.reason else ""
    return f"{about}{wave}, by {entry.by}{why}"


def describe_act(entry: JournalEntry) -> list[str]:
    """Which tiers, and what happened to each of them; one text when it is about no assignment."""
    if not entry.tiers:
        scope = ", ".join(entry.scope) or _WHOLE
        return [f"{_act(entry)} {scope if entry.node is None else f'{entry.node} in {scope}'}"]
    return [f"{tier}: {_act(entry)} {each.describe()}" for tier, each in entry.tiers.items()]


def describe_stop(entry: JournalEntry) -> str:
    """Why an entry stopped a rollout: a wave failed, or the next one was not let begin."""
    match entry.act:
        case JournalAct.REJECTED:
            return f"{entry.wave or 'a wave'} was rejected: {entry.reason}"
        case JournalAct.GATE_FAILED:
            return f"the gate of {entry.wave or 'a wave'} failed ({entry.by.task_id}): {entry.reason}"
        case _:
            return entry.reason


def _act(entry: JournalEntry) -> str:
    return next((words for act, words in _ACTS.items() if act == entry.act), entry.act.replace("_", " "))
