"""Versions that an MLflow client registered: known here by name, never loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq import __version__
from astralytiq.core import audit
from astralytiq.core.errors import Conflict
from astralytiq.core.security import Actor

from .models import Model, ModelVersion
from .service import ask_to_mirror, refuse_foreign

EXTERNAL = "external"


@dataclass(frozen=True)
class External:
    """What MLflow tells of a version; the figures are those that its client logged."""

    mlflow_version: str
    mlflow_run_id: str | None
    params: dict[str, str]
    metrics: dict[str, float]


def refuse_external(name: str, version: ModelVersion) -> None:
    if version.algorithm == EXTERNAL:
        raise Conflict(
            f"Version {version.number} of {name!r} was logged by an MLflow client: it is kept as a "
            "file and never loaded. Export the model as ONNX and add that file as a version (POST "
            f"/api/v1/models/{name}/versions), or train it here."
        )


async def add_external(
    session: AsyncSession, actor: Actor, name: str, found: Sequence[External]
) -> list[int]:
    """Versions of `found` that are not known yet get the next numbers; the others keep theirs."""
    await refuse_foreign(session, actor, name)
    model = await session.scalar(select(Model).where(Model.name == name).with_for_update())
    known = await known_versions(session, model) if model else set()
    new = [one for one in found if one.mlflow_version not in known]
    if not new:
        return []
    if model is None:
        model = Model(name=name, owner_id=actor.account_id, latest=0)
        session.add(model)
        await session.flush()  # The versions need the new id.
    numbers = [add(session, actor, model, one) for one in new]
    await ask_to_mirror(session, actor, name)
    await session.flush()
    return numbers


async def known_versions(session: AsyncSession, model: Model) -> set[str]:
    query = select(ModelVersion.mlflow_version).where(
        ModelVersion.model_id == model.id, ModelVersion.mlflow_version.is_not(None)
    )
    return {str(number) for number in await session.scalars(query)}


def add(session: AsyncSession, actor: Actor, model: Model, found: External) -> int:
    model.latest += 1
    version = ModelVersion(
        model_id=model.id,
        number=model.latest,
        algorithm=EXTERNAL,
        task=EXTERNAL,
        params=found.params,
        metrics=found.metrics,
        evaluation={},
        features=[],
        target="",
        classes=[],
        dataset="",
        storage_key="",
        sha256="",
        size_bytes=0,
        code_version=__version__,
        mlflow_run_id=found.mlflow_run_id,
        mlflow_version=found.mlflow_version,
        created_by=actor.id,
    )
    session.add(version)
    resource = f"model/{model.name}/{model.latest}"
    audit.record(
        session,
        actor,
        "model.version_registered",
        resource,
        mlflow_version=found.mlflow_version,
        mlflow_run_id=found.mlflow_run_id,
    )
    return model.latest
