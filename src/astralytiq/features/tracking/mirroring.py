"""What MLflow's clients register, made known to our registry."""

import math

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings
from astralytiq.core.tracking import VERSION_TAG, tracker
from astralytiq.features.registry.external import External

JOB = "tracking.mirror"
PROMPT_TAG = "mlflow.prompt.is_prompt"  # MLflow keeps texts as models, too


async def ask(resources: Resources, actor: Actor, model: str) -> None:
    """The job looks at all versions of the model, so one that was missed is found with the next."""

    async def enqueue(session: AsyncSession) -> None:
        await jobs.enqueue(
            session,
            JOB,
            owner_id=actor.account_id,
            model=model,
            **actor.for_job(),
        )

    await resources.database.write(enqueue)


def registered(settings: Settings, name: str) -> list[External]:
    """Versions that are not our own, in MLflow's order. Blocks."""
    client = tracker(settings).client()
    versions = [
        one
        for one in client.search_model_versions(f"name = '{name}'", max_results=10_000)
        if VERSION_TAG not in one.tags and PROMPT_TAG not in one.tags
    ]
    found = []
    for one in sorted(versions, key=lambda version: int(version.version)):
        run = client.get_run(one.run_id).data if one.run_id else None
        metrics = run.metrics if run else {}
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        params = dict(run.params) if run else {}
        found.append(External(str(one.version), one.run_id or None, params, finite))
    return found
