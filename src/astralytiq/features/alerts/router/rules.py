"""Doors to alert rules."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Request, Response

from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    describe_page,
    mark,
    needs,
    refuse_stale,
    room,
)
from astralytiq.features.alerts import rehearsing, service
from astralytiq.features.alerts.models import Rule
from astralytiq.features.alerts.schemas import (
    Rehearsal,
    RehearsalRead,
    RuleChange,
    RuleCreate,
    RuleRead,
    Silence,
)

rules = room("/alerts/rules", "alerts")

Reader = Annotated[Actor, needs("alerts:read")]
Writer = Annotated[Actor, needs("alerts:write")]


@rules.get("", response_model=list[RuleRead])
async def list_rules(
    request: Request, response: Response, session: Session, page: PageAsked, actor: Reader
) -> Sequence[Rule]:
    found, total = await service.list_rules(session, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@rules.post("", response_model=RuleRead, status_code=201)
async def create_rule(
    response: Response, session: Session, actor: Writer, body: RuleCreate
) -> Rule:
    rule = await service.create_rule(session, actor, body)
    response.headers["Location"] = f"/api/v1/alerts/rules/{rule.id}"
    mark(response, rule)
    return rule


@rules.get("/{rule_id}", response_model=RuleRead)
async def read_rule(response: Response, session: Session, actor: Reader, rule_id: Id) -> Rule:
    rule = await service.get_rule(session, rule_id)
    mark(response, rule)
    return rule


@rules.put("/{rule_id}", response_model=RuleRead)
@rules.patch("/{rule_id}", response_model=RuleRead)
async def change_rule(
    request: Request,
    response: Response,
    session: Session,
    actor: Writer,
    rule_id: Id,
    body: RuleChange,
) -> Rule:
    rule = await service.get_rule(session, rule_id)
    refuse_stale(request, rule)
    await service.change_rule(session, actor, rule, body)
    mark(response, rule)
    return rule


@rules.delete("/{rule_id}", status_code=204)
async def delete_rule(request: Request, session: Session, actor: Writer, rule_id: Id) -> None:
    rule = await service.get_rule(session, rule_id)
    refuse_stale(request, rule)
    await service.delete_rule(session, actor, rule)


@rules.post("/{rule_id}/silence", response_model=RuleRead)
async def silence_rule(
    response: Response, session: Session, actor: Writer, rule_id: Id, body: Silence
) -> Rule:
    """Whoever is on call may: nobody is told for so long, alerts are kept all the same."""
    rule = await service.get_rule(session, rule_id)
    await service.silence(session, actor, rule, body.minutes)
    mark(response, rule)
    return rule


@rules.delete("/{rule_id}/silence", response_model=RuleRead, status_code=200)
async def end_silence(response: Response, session: Session, actor: Writer, rule_id: Id) -> Rule:
    rule = await service.get_rule(session, rule_id)
    await service.silence(session, actor, rule, None)
    mark(response, rule)
    return rule


@rules.post("/{rule_id}/test")
async def rehearse_rule(
    house: House, session: Session, actor: Writer, rule_id: Id, body: Rehearsal
) -> RehearsalRead:
    """Who would be told what; with `send` they are told that it is a test."""
    rule = await service.get_rule(session, rule_id)
    return await rehearsing.rehearse(house, session, actor, rule, send=body.send)
