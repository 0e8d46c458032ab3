"""The routes that change something: for those whom Airflow permits it, and from the board's own page alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_chefconsul.consul.overview import list_tiers
from airflow_provider_chefconsul.consul.view import SharedView
from airflow_provider_chefconsul.domain.model.name import check_name
from airflow_provider_chefconsul.domain.model.writer import BOARD, Writer
from airflow_provider_chefconsul.domain.moment import write_moment
from airflow_provider_chefconsul.domain.write.steering import find_owner
from airflow_provider_chefconsul.exceptions import TransactionConflict, WriteRefused
from airflow_provider_chefconsul.hooks.consul import ConsulHook
from airflow_provider_chefconsul.ui.access import ACCESS, BoardUser, ConnectionDep, ViewerDep, refuse_other_sites
from airflow_provider_chefconsul.ui.acts import ActRequest, BoardAct, do_act, plan_act
from airflow_provider_chefconsul.ui.journal import dag_ids_in, show_text
from airflow_provider_chefconsul.ui.source import PATIENCE


class ActBody(BaseModel):
    """What the page sends; see :class:`ActRequest`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tier: str | None = None
    reason: Annotated[str, Field(max_length=500)] = ""
    until: Annotated[str, Field(max_length=40)] | None = None
    seen: int | None = None


router = APIRouter(
    prefix="/api/connections/{connection_id}/environments/{environment}/acts",
    dependencies=[*ACCESS, Depends(refuse_other_sites)],
)


@router.post("/{act}/plan")
async def plan(
    user: ViewerDep, connection_id: ConnectionDep, environment: str, act: BoardAct, body: ActBody
) -> Response:
    """What an act would do now."""
    return await _answer(user, connection_id, environment, act, body, is_plan=True)


@router.post("/{act}")
async def do(user: ViewerDep, connection_id: ConnectionDep, environment: str, act: BoardAct, body: ActBody) -> Response:
    """Do it, as it was planned."""
    return await _answer(user, connection_id, environment, act, body, is_plan=False)


async def _answer(
    user: BoardUser, connection_id: str, environment: str, act: BoardAct, body: ActBody, *, is_plan: bool
) -> Response:
    check_name("environment", environment)
    if body.tier is not None:
        check_name("tier", body.tier)
    now = write_moment(datetime.now(UTC), timespec="milliseconds")
    by = Writer(BOARD, f"{user.name} {now}", act.replace("_", " "))
    request = ActRequest(act, by, body.tier, body.reason, body.until, body.seen)
    async with ConsulHook(connection_id).open_view(patience=PATIENCE) as view:
        try:
            await _require_right(view, user, environment, request)
            await _require_tier(view, environment, request.tier)
            if is_plan:
                planned = await plan_act(view, environment, request)
                return JSONResponse({"text": await _tell(user, planned.text), "seen": planned.seen})
            await do_act(view, environment, request)
        except (WriteRefused, TransactionConflict) as error:
            return JSONResponse({"detail": await _tell(user, str(error))}, status_code=409)
    return JSONResponse({})


async def _require_right(view: SharedView, user: BoardUser, environment: str, request: ActRequest) -> None:
    """To move a tier one must be allowed to trigger the Dag that wrote it, for all else to edit the connection."""
    owner, needed = None, "edit this connection"
    if request.act.is_steering and request.tier is not None:
        desired = (await view.desired(environment, [request.tier]))[request.tier]
        if desired is not None:
            newest = desired.newest.generation
            if request.seen is not None and request.seen > newest:
                # Of one that another Dag declares from here on, nobody has asked yet who may steer it.
                raise WriteRefused(f"{environment}/{request.tier}: generation {newest} is the newest; look again")
            owner = find_owner(desired, await view.history(environment, request.tier))
    if owner is not None and not owner.is_person:
        needed = "trigger runs of the Dag that wrote this tier"
    await user.learn_rights([owner] if owner else [])
    is_allowed = user.may_steer(owner) if owner else user.may_edit
    if not is_allowed:
        raise HTTPException(403, f"You may not do this. It requires permission to {needed}.")


async def _require_tier(view: SharedView, environment: str, tier: str | None) -> None:
    """Answer with 404 for a tier that does not exist: a freeze of a mistyped name would stop nobody."""
    tiers = await list_tiers(view, environment)
    if not tiers or tier not in {None, *tiers}:
        raise HTTPException(404, f"environment {environment} has no {f'tier {tier}' if tiers else 'tiers'}")


async def _tell(user: BoardUser, text: str) -> str:
    """The text, unless it names a Dag that the user may not read."""
    await user.learn(dag_ids_in(text))
    return show_text(text, user.may_read) or "This has to do with a Dag run that you may not see."
