"""Trains a model of the plan, and gives its versions their stages."""

from functools import partial

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.features.datasets import synthetic
from astralytiq.features.predictions import shadowing
from astralytiq.features.predictions.schemas_watching import ShadowWanted
from astralytiq.features.registry import describing, promoting
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import Model as Stored
from astralytiq.features.registry.models import ModelVersion, Stage
from astralytiq.features.registry.schemas import ModelChange
from astralytiq.features.training import service as training
from astralytiq.features.training.schemas import TrainingRequest

from . import asking, freezing
from .desk import Desk
from .plans import Model, Training

EXPERIMENT = "demo"
SHOWN = ("accuracy", "silhouette")


async def make(desk: Desk, plan: Model) -> str:
    """What came of it, in a few words."""
    for number, version in enumerate(plan.versions, 1):
        await train(desk, plan.name, number, version)
        await desk.write(partial(settle, desk, plan.name, number, version.stage))
        if version.later:
            later = await reference_of(desk, version.later)
            await asking.ask_about_later(desk, plan.name, number, later)
    if plan.description:
        await desk.write(partial(describe, desk, plan))
    if plan.challenger:
        await desk.write(partial(challenge, desk, plan.name, plan.challenger))
    serving = await desk.read(lambda session: shown_version(session, plan.name))
    await asking.ask(desk, plan.name, serving)
    return shown(serving)


def shown(version: ModelVersion) -> str:
    figures = [f"{name} {version.metrics[name]:.3f}" for name in SHOWN if name in version.metrics]
    return ", ".join([f"version {version.number} in {version.stage}", version.algorithm, *figures])


async def shown_version(session: AsyncSession, name: str) -> ModelVersion:
    """The one in production, else the newest."""
    model = await registry.get(session, name)
    return (await registry.shown_versions(session, [model]))[model.id]


async def train(desk: Desk, name: str, number: int, plan: Training) -> None:
    asked = {"experiment": EXPERIMENT, **plan.asked, "model_name": name}
    asked["dataset_id"] = await reference_of(desk, plan.dataset)
    request = TrainingRequest.model_validate(asked)
    # What an earlier start asked for goes on, and is waited for before anything is judged.
    await desk.done(lambda: desk.waiting("training.run", model_name=name))
    if await desk.read(lambda session: latest(session, name)) < number:
        await desk.done(lambda: start(desk, request))


async def start(desk: Desk, request: TrainingRequest) -> str:
    return (await desk.write(lambda s: training.start(s, desk.actor, request))).job_id


async def reference_of(desk: Desk, dataset: str) -> str:
    """ "7@2" for "weather@2"; what is to be made up is made."""
    if recipe := synthetic.named(dataset):
        return await synthetic.ensured(desk.resources, desk.actor, recipe)
    name, _, number = dataset.partition("@")
    return f"{(await freezing.get(desk, name)).id}@{number}"


async def latest(session: AsyncSession, name: str) -> int:
    """The number of the newest version; 0 while there is no such model."""
    return await session.scalar(select(Stored.latest).where(Stored.name == name)) or 0


async def settle(desk: Desk, name: str, number: int, stage: Stage, session: AsyncSession) -> None:
    """A version that has a stage was given it by an earlier start, or by somebody since."""
    model = await registry.get(session, name)
    version = await registry.get_version(session, model, number)
    if version.stage is Stage.none is not stage:
        await promoting.change_stage(session, desk.actor, model, number, stage)


async def describe(desk: Desk, plan: Model, session: AsyncSession) -> None:
    """What somebody has said of it since stays."""
    model = await registry.get(session, plan.name)
    if model.description is None:
        said = ModelChange(description=plan.description)
        await describing.change(session, desk.actor, model, said)


async def challenge(desk: Desk, name: str, number: int, session: AsyncSession) -> None:
    """Of every request; asked again it changes nothing."""
    await shadowing.start(session, desk.actor, name, ShadowWanted(version=number))
