"""The truth: what each machine has, what it reported, and what Consul holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import ClassVar

from airflow_provider_chefconsul.domain.model.desired import Assignment, DesiredState
from airflow_provider_chefconsul.domain.model.membership import Member, Presence
from airflow_provider_chefconsul.domain.model.report import NodeReport, Status
from airflow_provider_chefconsul.domain.model.snapshot import Evidence, TierSnapshot
from airflow_provider_chefconsul.domain.model.unreadable import Unreadable
from airflow_provider_chefconsul.exceptions import MalformedDocument

SPOILT = "{"


@dataclass(frozen=True, slots=True)
class Record:
    """What was true of a machine when it wrote a report, as far as its reports were not lost.

    Assignments are unique numbers.

    :param has: the assignment on which its last finished run succeeded, if no run on another began since.
    :param failed: the assignment on which its last finished run failed, if no run on another began since.
    :param begun: the assignment of a run that began and did not finish.
    """

    machine: str
    has: int | None = None
    failed: int | None = None
    begun: int | None = None

    def begin(self, number: int) -> Record:
        """The record after a run began on an assignment."""
        has, failed = (kept if kept == number else None for kept in (self.has, self.failed))
        return Record(self.machine, has, failed, number)


@dataclass(frozen=True, slots=True)
class Letter:
    """A report and the truth behind it; ``has_looked`` if its run had read the report of the run before."""

    report: NodeReport
    record: Record
    text: str
    has_looked: bool = True

    @classmethod
    def of(cls, report: NodeReport, record: Record, *, has_looked: bool = True) -> Letter:
        """As the machine writes it."""
        return cls(report, record, report.to_json(), has_looked)


@dataclass(frozen=True, slots=True)
class Post:
    """The value of a node's key, with its ModifyIndex."""

    letter: Letter
    index: int

    @property
    def is_spoilt(self) -> bool:
        """Whether it cannot be read."""
        return self.letter.text == SPOILT


@dataclass(slots=True)
class Run:
    """A Chef run in progress.

    :param number: its assignment; None if it could not read that.
    :param record: the record when it read the report of the run before; None before that.
    """

    number: int | None
    id: str
    previous: Status | None = None
    record: Record | None = None


@dataclass(slots=True)
class Machine:
    """A machine. If ``is_old``, its client reports neither ids nor the outcome of the run before.

    :param really_has: the assignment that it has, reported or not.
    :param kept: the report in its outbox.
    :param flying: reports that were sent and may arrive much later.
    """

    name: str
    node_id: str
    is_old: bool = False
    tells_id: bool = True
    is_up: bool = True
    is_cut: bool = False
    really_has: int | None = None
    run: Run | None = None
    kept: Letter | None = None
    flying: list[Letter] = field(default_factory=list)
    cached: int | None = None

    @property
    def is_reachable(self) -> bool:
        """Whether it and Consul see each other."""
        return self.is_up and not self.is_cut


@dataclass(frozen=True, slots=True)
class Entry:
    """A node in Consul's catalog."""

    node_id: str
    is_alive: bool = True
    has_service: bool = True
    is_sick: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """The desired state, and the numbers of its assignments."""

    document: DesiredState
    stable: int
    canary: int | None = None

    def number_for(self, node: str) -> int:
        """The assignment of a node."""
        canary = self.document.canary
        if canary is None or self.canary is None:
            return self.stable
        bucket = int(sha256(f"{canary.salt}:{node}".encode()).hexdigest()[:8], 16)
        return self.canary if node in canary.nodes or bucket < canary.threshold else self.stable


@dataclass
class World:
    """Machines, catalog and keys.

    :param listed: the member names that the Dag's author gave; None if the tier is a service.
    :param writes_ids: whether desired states have ids.
    """

    looks_late: ClassVar[bool] = True
    """Whether a run that began without Consul reads the report of the run before once Consul is back."""
    lists_strays: ClassVar[bool] = True
    """Whether the shared data view still lists members that lost their service."""

    listed: tuple[str, ...] | None = None
    writes_ids: bool = True
    machines: dict[str, Machine] = field(default_factory=dict)
    catalog: dict[str, Entry] = field(default_factory=dict)
    posts: dict[str, Post] = field(default_factory=dict)
    declared: Declared | None = None
    is_spoilt: bool = False
    assignments: dict[int, Assignment] = field(default_factory=dict)
    index: int = 1
    saved: tuple[Declared | None, dict[str, Post]] | None = None
    made: int = 0

    def make(self) -> int:
        """A new unique number."""
        self.made += 1
        return self.made

    def machine(self, choice: int) -> Machine:
        """One of the machines."""
        return self.machines[sorted(self.machines)[choice % len(self.machines)]]

    def last_letter(self, machine: Machine) -> Letter | None:
        """The machine's last readable report, in its outbox or in Consul."""
        post = self.posts.get(machine.name)
        letter = machine.kept or (post.letter if post and not post.is_spoilt else None)
        return letter if letter and letter.record.machine == machine.node_id else None

    def post(self, node: str, letter: Letter) -> None:
        """Write a report to Consul."""
        self.index += 1
        self.posts[node] = Post(letter, self.index)

    def touch(self, machine: Machine, **changes: object) -> None:
        """Change a machine's entry in the catalog, if there is one."""
        entry = self.catalog.get(machine.name)
        if entry is not None and entry.node_id == machine.node_id:
            self.catalog[machine.name] = replace(entry, **changes)  # type: ignore[arg-type]

    def snapshot(self, known: Collection[str], ever_listed: Collection[str]) -> TierSnapshot:
        """The tier as the shared data view shows it.

        :param known: earlier members, which remain members.
        :param ever_listed: nodes that this viewer has seen in the catalog.
        """
        evidence = {node: Evidence(_read(node, post.letter.text), post.index) for node, post in self.posts.items()}
        desired = self.declared.document if self.declared else None
        shown = Unreadable("chefconsul/demo/web/desired", "not JSON") if self.is_spoilt else desired
        return TierSnapshot(shown, self._members(known, ever_listed, evidence, desired), evidence)

    def _members(
        self,
        known: Collection[str],
        ever_listed: Collection[str],
        evidence: Mapping[str, Evidence],
        desired: DesiredState | None,
    ) -> dict[str, Member]:
        if self.listed is None:
            names = {node for node, entry in self.catalog.items() if entry.has_service}
            guests = {
                node
                for node, each in evidence.items()
                if node in self.catalog
                and desired is not None
                and isinstance(each.report, NodeReport)
                and each.report.is_about(desired.assignment_for(node))
            }
        else:
            names, guests = set(self.listed), set()
        if self.lists_strays:
            names = names | guests | set(known)
        members = {}
        for node in sorted(names):
            entry = self.catalog.get(node)
            if entry is not None:
                presence = Presence.ALIVE if entry.is_alive else Presence.FAILED
                sick = ("http is critical",) if entry.is_sick else ()
                members[node] = Member(node, presence, sick, {}, entry.node_id)
            else:
                is_gone = self.listed is None or node in ever_listed
                members[node] = Member(node, Presence.GONE if is_gone else Presence.UNKNOWN)
        return members


@lru_cache(maxsize=4096)
def _read(node: str, text: str) -> NodeReport | Unreadable:
    try:
        return NodeReport.from_json(f"chefconsul/demo/web/nodes/{node}", text)
    except MalformedDocument as error:
        return Unreadable.of(error)
