"""Rules for challengers: which may score in the shadow, when that ends, and what was seen."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Forbidden, NotFound
from astralytiq.core.security import Actor
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import Model, ModelVersion, Stage
from astralytiq.features.registry.serving import serving_version

from . import mirroring, tallies
from .models import Shadow, ShadowTally
from .schemas_watching import Beside, Judged, Latency, ShadowRead, ShadowStatus, ShadowWanted
from .tallies import Tally

MOST_PAIRS = 100


# Changing ---------------------------------------------------------------------------------------


async def start(session: AsyncSession, actor: Actor, name: str, wanted: ShadowWanted) -> ShadowRead:
    """One shadow a model: another version or share ends the one before."""
    model = await own(session, actor, name)
    champion = await serving_version(session, name)
    challenger = await serving_version(session, name, wanted.version)
    refuse_unlike(name, champion, challenger)
    now, running = utc_now(), await running_of(session, model)
    if running and asked_so(running, challenger, wanted):
        return await report(session, name)
    if running:
        await finish(session, actor, model, running)
    session.add(
        Shadow(model_id=model.id, model_version_id=challenger.id, share=wanted.share,
               actor_id=actor.id, created_at=now)
    )  # fmt: skip
    resource = f"model/{name}/{challenger.number}"
    audit.record(session, actor, "shadow.started", resource, share=wanted.share)
    mirroring.changed(session, name)
    await session.flush()
    return await report(session, name)


async def end(session: AsyncSession, actor: Actor, name: str) -> ShadowRead:
    model = await own(session, actor, name)
    running = await running_of(session, model)
    if running is None or await is_over(session, running):
        raise NotFound(f"No version of {name!r} scores in the shadow.")
    await finish(session, actor, model, running)
    return await report(session, name)


async def own(session: AsyncSession, actor: Actor, name: str) -> Model:
    model = await registry.get(session, name)
    if not registry.may_change(actor, model):
        raise Forbidden("Only the model's owner or an admin may change its shadow.")
    return model


async def running_of(session: AsyncSession, model: Model) -> Shadow | None:
    query = select(Shadow).where(Shadow.model_id == model.id, Shadow.ended_at.is_(None))
    return await session.scalar(query.with_for_update())


def asked_so(running: Shadow, challenger: ModelVersion, wanted: ShadowWanted) -> bool:
    same = (running.model_version_id, running.share) == (challenger.id, wanted.share)
    return same and not was_promoted(running, challenger)


async def is_over(session: AsyncSession, running: Shadow) -> bool:
    challenger = await registry.version_by_id(session, running.model_version_id)
    return was_promoted(running, challenger)


def was_promoted(shadow: Shadow, challenger: ModelVersion) -> bool:
    """That ended it, at that moment, also if it was rolled back since."""
    return challenger.deployed_at is not None and challenger.deployed_at > shadow.created_at


async def finish(session: AsyncSession, actor: Actor, model: Model, running: Shadow) -> None:
    challenger = await registry.version_by_id(session, running.model_version_id)
    over = was_promoted(running, challenger)
    running.ended_at = challenger.deployed_at if over else utc_now()
    if not over:
        audit.record(session, actor, "shadow.ended", f"model/{model.name}/{challenger.number}")
    mirroring.changed(session, model.name)
    await session.flush()


def refuse_unlike(name: str, champion: ModelVersion, challenger: ModelVersion) -> None:
    if champion.id == challenger.id:
        raise Conflict(
            f"Version {challenger.number} of {name!r} is in production itself: name another."
        )
    if reasons := differences(champion, challenger):
        raise Conflict(
            f"Version {challenger.number} cannot score what version {champion.number} of {name!r} "
            f"answers: {'; '.join(reasons)}."
        )


def differences(champion: ModelVersion, challenger: ModelVersion) -> list[str]:
    """Everything that keeps it from scoring the same rows. The order of features does not."""
    if "clustering" in (champion.task, challenger.task):
        return ["clusters of two versions have no common names"]
    found = []
    if champion.task != challenger.task:
        found.append(f"it is a {challenger.task}, that is a {champion.task}")
    old, new = types_of(champion), types_of(challenger)
    found += [f"it needs {feature!r}, which requests do not have" for feature in new.keys() - old]
    found += [f"it does not know {feature!r}" for feature in old.keys() - new]
    found += [
        f"{feature!r} is a {new[feature]} to it, and a {old[feature]} to that"
        for feature in old.keys() & new
        if "bool" in (old[feature], new[feature]) and old[feature] != new[feature]
    ]
    return sorted(found)


def types_of(version: ModelVersion) -> dict[str, str]:
    return {feature["name"]: feature["type"] for feature in version.features}


# Reading ----------------------------------------------------------------------------------------


async def report(session: AsyncSession, name: str) -> ShadowRead:
    """Of the shadow that runs, else of the last one."""
    model = await registry.get(session, name)
    query = select(Shadow).where(Shadow.model_id == model.id).order_by(Shadow.id.desc()).limit(1)
    shadow = await session.scalar(query)
    if shadow is None:
        return ShadowRead(model=name, status=ShadowStatus.none)
    challenger = await registry.version_by_id(session, shadow.model_version_id)
    promoted = was_promoted(shadow, challenger)
    return ShadowRead(
        model=name,
        status=status_of(shadow, challenger),
        version=challenger.number,
        share=shadow.share,
        started_at=shadow.created_at,
        ended_at=shadow.ended_at or (challenger.deployed_at if promoted else None),
        against=await compared(session, shadow, challenger),
    )


def status_of(shadow: Shadow, challenger: ModelVersion) -> ShadowStatus:
    if was_promoted(shadow, challenger) and shadow.ended_at in (None, challenger.deployed_at):
        return ShadowStatus.promoted
    return ShadowStatus.running if shadow.ended_at is None else ShadowStatus.ended


async def compared(session: AsyncSession, shadow: Shadow, challenger: ModelVersion) -> list[Beside]:
    query = (
        select(ModelVersion, ShadowTally.statistics)
        .join(ShadowTally, ShadowTally.champion_id == ModelVersion.id)
        .where(ShadowTally.shadow_id == shadow.id)
        .order_by(ModelVersion.number.desc())
    )
    found: Sequence[Any] = (await session.execute(query)).all()
    ordered = sorted(found, key=lambda row: row[0].stage is not Stage.production)
    return await asyncio.to_thread(
        lambda: [beside(champion, challenger, tally) for champion, tally in ordered]
    )


def beside(champion: ModelVersion, challenger: ModelVersion, tally: Tally) -> Beside:
    rows, gap = tally.get("rows", 0), tally.get("difference")
    pairs = {name: tallies.labels_of(name) for name in tally.get("pairs", {})}
    equal = sum(tally["pairs"][name] for name, (one, two) in pairs.items() if one == two)
    classes = list({tallies.key(label): label for label in
                    [*(champion.classes or []), *(challenger.classes or [])]}.values())  # fmt: skip
    return Beside(
        champion=champion.number,
        requests=tally.get("requests", 0),
        rows=rows,
        failed=tally.get("failed", 0),
        dropped=tally.get("dropped", 0),
        agreement=round(equal / rows, 6) if pairs else None,
        disagreements=disagreements(pairs, tally),
        mean_absolute_difference=gap / rows if gap is not None and rows else None,
        largest_difference=tally["high"][0] if "high" in tally else None,
        champion_latency=latency(tally, "champion_latency"),
        challenger_latency=latency(tally, "challenger_latency"),
        champion_quality=judged(tally, "champion", classes),
        challenger_quality=judged(tally, "challenger", classes),
    )


def disagreements(pairs: dict[str, list[Any]], tally: Tally) -> list[dict[str, Any]]:
    differing = [name for name, (one, two) in pairs.items() if one != two]
    commonest = sorted(differing, key=lambda name: -tally["pairs"][name])[:MOST_PAIRS]
    return [
        {"champion": pairs[name][0], "challenger": pairs[name][1], "rows": tally["pairs"][name]}
        for name in commonest
    ]


def latency(tally: Tally, name: str) -> Latency | None:
    found = tallies.milliseconds(tally.get(name, {}))
    return Latency(**found) if found else None


def judged(tally: Tally, name: str, classes: Sequence[Any]) -> Judged | None:
    told = tally.get(name)
    if not told or not told["outcomes"]:
        return None
    return Judged(outcomes=told["outcomes"], metrics=tallies.metrics(told, classes))
