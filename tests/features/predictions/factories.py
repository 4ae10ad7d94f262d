"""Models that answer, and predictions to watch."""

from typing import Any

import httpx2
import numpy as np

from astralytiq.core.db import new_id
from astralytiq.core.resources import Resources
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import ModelVersion
from astralytiq.features.registry.service import Trained
from tests.features.datasets.factories import FLOWERS
from tests.features.registry.factories import FEATURES, actor_of, store_version

API = "/api/v1"
SETOSA, VIRGINICA = [1.0, 0], [4.0, 4]


async def ask(client: httpx2.AsyncClient, *rows: list[float], model: str = "flowers") -> Any:
    answer = await client.post(f"{API}/models/{model}/predict", json={"instances": list(rows)})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def tell(client: httpx2.AsyncClient, prediction_id: str, **body: Any) -> httpx2.Response:
    return await client.post(f"{API}/predictions/{prediction_id}/outcome", json=body)


async def read(client: httpx2.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(f"{API}/{path}", params=params or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def store_line(resources: Resources, owner: httpx2.AsyncClient) -> ModelVersion:
    """A regression of the flowers' width on their length, as the client's own."""
    base = await store_version(resources, owner, "basis")
    assert base.dataset_version_id
    actor = await actor_of(owner)
    adapter = adapter_of("linear_regression")
    features = np.array([[flower[column] for column in FEATURES] for flower in FLOWERS], float)
    model = adapter.train(features[:, :1], features[:, 1], {}, 0, lambda done, total: None)
    found = adapter.evaluate(model, features[:, :1], features[:, 1])
    job_id = new_id()
    stored = resources.storage.put(f"models/line/{job_id}.model", adapter.save(model))
    trained = Trained(
        algorithm="linear_regression",
        task="regression",
        params={},
        metrics=found.metrics,
        evaluation={"test_rows": len(features), "test_size": 0.25},
        features=[{"name": "length", "type": "float64"}],
        target="width",
        classes=[],
        dataset_version_id=base.dataset_version_id,
        dataset=base.dataset,
        seed=0,
        storage_key=stored.key,
        sha256=stored.sha256,
        size_bytes=stored.size,
        environment=None,
        mlflow_run_id=None,
        job_id=job_id,
    )
    return await resources.database.write(
        lambda session: registry.add_version(session, actor, "line", trained)
    )
