"""The truth: what each machine has, what it said of itself, and what Consul holds of that."""

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
class Told:
    """What is true of a machine when it writes a report, as far as its reports were not lost.

    Assignments are numbers that never come twice.

    :param has: the assignment that it has: its last run that finished succeeded on it, and none began on another since.
    :param failed: the assignment on which its last run that finished failed, and none began on another since.
    :param begun: the assignment of a run that began and did not finish.
    """

    machine: str
    has: int | None = None
    failed: int | None = None
    begun: int | None = None

    def begin(self, number: int) -> Told:
        """After a run began on an assignment."""
        has, failed = (kept if kept == number else None for kept in (self.has, self.failed))
        return Told(self.machine, has, failed, number)


@dataclass(frozen=True, slots=True)
class Said:
    """A report, and the truth behind it; ``has_looked`` where its run knew what the run before had reported."""

    report: NodeReport
    told: Told
    text: str
    has_looked: bool = True

    @classmethod
    def of(cls, report: NodeReport, told: Told, *, has_looked: bool = True) -> Said:
        """As the machine writes it."""
        return cls(report, told, report.to_json(), has_looked)


@dataclass(frozen=True, slots=True)
class Post:
    """What stands under a node's key, since a ModifyIndex."""

    said: Said
    index: int

    @property
    def is_spoilt(self) -> bool:
        """Whether nobody can read it."""
        return self.said.text == SPOILT


@dataclass(slots=True)
class Run:
    """A Chef run that goes on.

    :param number: its assignment; None where it could not read that.
    :param told: what was on record when it looked for the report of the run before; None before that.
    """

    number: int | None
    id: str
    previous: Status | None = None
    told: Told | None = None


@dataclass(slots=True)
class Machine:
    """A machine. Where ``is_old``, its client knows neither ids nor what the run before came to.

    :param really_has: the assignment that it has, though nobody was told.
    :param kept: the report in its outbox.
    :param flying: reports that were sent, and may arrive much later.
    """

    name: str
    node_id: str
    is_old: bool = False
    tells_id: bool = True
    is_up: bool = True
    is_cut: bool = False
    really_has: int | None = None
    run: Run | None = None
    kept: Said | None = None
    flying: list[Said] = field(default_factory=list)
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
    """The desired state, and which assignments those are."""

    document: DesiredState
    stable: int
    canary: int | None = None

    def number_for(self, node: str) -> int:
        """The assignment of a node."""
        canary = self.document.canary
        if canary is None or self.canary is None:
            return self.stable
        place = int(sha256(f"{canary.salt}:{node}".encode()).hexdigest()[:8], 16)
        return self.canary if node in canary.nodes or place < canary.threshold else self.stable


@dataclass
class World:
    """All of it.

    :param listed: the names that the author of the Dag gave; None where the tier is a service.
    :param writes_ids: whether the writers of desired states know ids.
    """

    looks_late: ClassVar[bool] = True
    """Whether a run that began without Consul looks for the report of the run before once Consul is there."""
    lists_strays: ClassVar[bool] = True
    """Whether the shared data view has members that lost their service as the catalog has them."""

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
        """A number that was never made before."""
        self.made += 1
        return self.made

    def machine(self, choice: int) -> Machine:
        """One of the machines."""
        return self.machines[sorted(self.machines)[choice % len(self.machines)]]

    def last_said(self, machine: Machine) -> Said | None:
        """The report of the machine that is on record last, in its outbox or in Consul, and can be read."""
        post = self.posts.get(machine.name)
        said = machine.kept or (post.said if post and not post.is_spoilt else None)
        return said if said and said.told.machine == machine.node_id else None

    def post(self, node: str, said: Said) -> None:
        """Write a report into Consul."""
        self.index += 1
        self.posts[node] = Post(said, self.index)

    def touch(self, machine: Machine, **changes: object) -> None:
        """Change a machine's entry in the catalog, where it is there."""
        entry = self.catalog.get(machine.name)
        if entry is not None and entry.node_id == machine.node_id:
            self.catalog[machine.name] = replace(entry, **changes)  # type: ignore[arg-type]

    def snapshot(self, known: Collection[str], ever_listed: Collection[str]) -> TierSnapshot:
        """The tier as the shared data view shows it.

        :param known: who was a member before, and stays one, as the catalog has it.
        :param ever_listed: whom this viewer saw in the catalog.
        """
        evidence = {node: Evidence(_read(node, post.said.text), post.index) for node, post in self.posts.items()}
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
