"""Makes model versions without a training job: what tests of serving start from."""

import io

import httpx2
import numpy as np

from astralytiq.core.db import new_id
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.engines.models import environment
from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.contract import completed
from astralytiq.features.datasets import uploads as datasets
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import ModelVersion
from astralytiq.features.registry.service import Trained
from tests.features.datasets.factories import CSV, FLOWERS

FEATURES = ["length", "width"]
PARAMS = {"n_estimators": 5}


async def actor_of(client: httpx2.AsyncClient) -> Actor:
    me = (await client.get("/api/v1/auth/me")).json()
    return Actor(me["id"], me["email"], frozenset())


async def store_version(
    resources: Resources, owner: httpx2.AsyncClient, name: str = "flowers", seed: int = 0
) -> ModelVersion:
    """A real forest on the flowers, registered as the client's own."""
    actor = await actor_of(owner)
    file = io.BytesIO(CSV.encode())
    _, version = await datasets.upload(resources, actor, file, "flowers.csv", None)
    trained = forest(resources, name, version.id, version.reference, seed)
    return await resources.database.write(
        lambda session: registry.add_version(session, actor, name, trained)
    )


def forest(
    resources: Resources, name: str, dataset_version_id: int, dataset: str, seed: int
) -> Trained:
    adapter = adapter_of("random_forest")
    features = np.array([[flower[column] for column in FEATURES] for flower in FLOWERS], float)
    target = np.array([flower["species"] for flower in FLOWERS])
    model = adapter.train(features, target, PARAMS, seed, lambda done, total: None)
    found = adapter.evaluate(model, features, target)
    job_id = new_id()
    stored = resources.storage.put(f"models/{name}/{job_id}.model", adapter.save(model))
    return Trained(
        algorithm="random_forest",
        task="classification",
        params=completed(ALGORITHMS["random_forest"], PARAMS),
        metrics=found.metrics,
        evaluation={"confusion_matrix": found.confusion, "test_size": 0.25},
        features=[{"name": "length", "type": "float64"}, {"name": "width", "type": "int64"}],
        target="species",
        classes=adapter.classes(model),
        dataset_version_id=dataset_version_id,
        dataset=dataset,
        seed=seed,
        storage_key=stored.key,
        sha256=stored.sha256,
        size_bytes=stored.size,
        environment=environment.here(),
        mlflow_run_id="run-of-mlflow",
        job_id=job_id,
    )


async def promote(
    client: httpx2.AsyncClient, number: int = 1, stage: str = "production", name: str = "flowers"
) -> httpx2.Response:
    url = f"/api/v1/models/{name}/versions/{number}/stage"
    return await client.post(url, json={"stage": stage})
