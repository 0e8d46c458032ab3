"""What can be done from the board, planned before it is confirmed: the same as by the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from airflow_provider_chefconsul.consul.catalog import read_members
from airflow_provider_chefconsul.consul.freeze import FoundFreeze, find_freeze, freeze, unfreeze
from airflow_provider_chefconsul.consul.lease import FoundLease, break_lease, find_lease
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.consul.write import plan_steering, steer
from airflow_provider_chefconsul.domain.model.freeze import check_frozen_tiers, make_freeze_entry
from airflow_provider_chefconsul.domain.model.membership import ServiceMembers
from airflow_provider_chefconsul.domain.model.writer import Writer
from airflow_provider_chefconsul.domain.parameter import check_reason
from airflow_provider_chefconsul.domain.text import list_some
from airflow_provider_chefconsul.domain.write.decision import describe_decision
from airflow_provider_chefconsul.domain.write.plan import plan_wave
from airflow_provider_chefconsul.domain.write.rollback import RollBack
from airflow_provider_chefconsul.domain.write.steering import Abort, Promotion
from airflow_provider_chefconsul.exceptions import InvalidInput, WriteRefused

_NAMED = 12  # nodes


class BoardAct(StrEnum):
    """What a person can do."""

    PROMOTE = "promote"
    ABORT = "abort"
    ROLL_BACK = "roll_back"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    BREAK_LEASE = "break_lease"

    @property
    def is_steering(self) -> bool:
        """Whether it moves a tier."""
        return self in {BoardAct.PROMOTE, BoardAct.ABORT, BoardAct.ROLL_BACK}


@dataclass(frozen=True, slots=True)
class ActRequest:
    """A requested act.

    :param tier: None for the whole environment.
    :param reason: for the journal, and for whoever has to wait.
    :param until: ISO 8601, when a freeze ends; None until somebody ends it.
    :param seen: what the plan was made on, as it says itself: the act is refused when that has changed. None for none.
    """

    act: BoardAct
    by: Writer
    tier: str | None = None
    reason: str = ""
    until: str | None = None
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedAct:
    """What an act would do now, in words; ``seen`` is what that rests on."""

    text: str
    seen: int


async def plan_act(view: SharedView, environment: str, request: ActRequest) -> PlannedAct:
    """What an act would do now; nothing is written.

    :raises WriteRefused: it would be refused.
    """
    if request.act.is_steering:
        return await _plan_steering(view, environment, request)
    if request.act == BoardAct.BREAK_LEASE:
        lease = await _require_lease(view, environment)
        text = f"{environment} is {lease.lease.describe()}. Its writes are refused until it acquires the lease again."
        return PlannedAct(text, lease.modify_index)
    found = await find_freeze(view, environment)
    return PlannedAct(_describe_freeze(found, request), found.modify_index)


async def do_act(view: SharedView, environment: str, request: ActRequest) -> None:
    """Do it, if all is as it was when it was planned.

    :raises InvalidInput: there is no reason, or a freeze would end in the past.
    :raises WriteRefused: it is not allowed, or others were faster.
    """
    reason = check_reason(request.reason)
    if request.seen is None:
        raise InvalidInput("an act must be planned first")
    if request.act.is_steering:
        await steer(view, environment, [_tier_of(request)], _steering(request, reason))
        return
    if request.act == BoardAct.BREAK_LEASE:
        lease = (await _require_lease(view, environment)).lease
        await break_lease(view, environment, FoundLease(lease, request.seen), request.by, reason=reason)
        return
    found = await find_freeze(view, environment)
    if found.modify_index != request.seen:
        raise WriteRefused(f"{environment}: somebody froze or unfroze tiers in the meantime; look again")
    if request.act == BoardAct.FREEZE:
        entry = make_freeze_entry(request.by, reason, request.until, now=datetime.now(UTC))
        await freeze(view, environment, check_frozen_tiers([request.tier] if request.tier else []), entry)
    else:
        await unfreeze(view, environment, [request.tier] if request.tier else None, request.by, reason=reason)


def _tier_of(request: ActRequest) -> str:
    if request.tier is None:
        raise InvalidInput(f"{request.act} needs a tier")
    return request.tier


def _steering(request: ActRequest, reason: str) -> RollBack | Promotion | Abort:
    match request.act:
        case BoardAct.PROMOTE:
            return Promotion(request.by, reason, request.seen)
        case BoardAct.ABORT:
            return Abort(request.by, reason, request.seen)
        case _:
            return RollBack(request.by, "last_good", generation=request.seen, reason=reason)


async def _plan_steering(view: SharedView, environment: str, request: ActRequest) -> PlannedAct:
    tier = _tier_of(request)
    planned = await plan_steering(view, environment, [tier], _steering(request, request.reason))
    decision, basis = planned.decisions[tier], planned.tiers[tier].basis
    members = await read_members(view.client, ServiceMembers(tier))
    nodes = plan_wave(replace(basis, members=members), decision, None).nodes
    moved = f"{len(nodes)} of {len(members)} nodes change" + (f": {list_some(nodes, _NAMED)}" if nodes else "")
    newest = basis.current.newest.generation if basis.current else 0
    return PlannedAct(f"Then: {describe_decision(decision)}. {moved}.", newest)


async def _require_lease(view: SharedView, environment: str) -> FoundLease:
    found = await find_lease(view, environment)
    if found is None:
        raise WriteRefused(f"{environment}: nobody holds it, so there is nothing to break")
    return found


def _describe_freeze(found: FoundFreeze, request: ActRequest) -> str:
    names: Mapping[str, str] = {name: each.describe() for name, each in found.freeze.entries.items()}
    frozen = "; ".join(f"{'all tiers' if name == '*' else name}: {words}" for name, words in names.items())
    stands = f"Frozen now: {frozen}." if frozen else "Nothing is frozen now."
    about = request.tier or "any tier"
    if request.act == BoardAct.FREEZE:
        return f"Nobody may move {about} until it ends; what has begun goes on. {stands}"
    ends = f"The freeze of {request.tier}" if request.tier else "Every freeze"
    return f"{ends} ends; writes that wait go on at once. {stands}"
