"""What MLflow's clients register appears in our registry once, and fights with nothing there."""

from typing import Any

import httpx2
import pytest

from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor, Role
from astralytiq.core.tracking import TrackedRun, Tracker
from astralytiq.features.tracking import mirroring
from tests.conftest import RunJobs, SignIn
from tests.features.registry.factories import actor_of, promote

pytestmark = pytest.mark.anyio

NAME = "elsewhere"
URL = f"/api/v1/models/{NAME}"


@pytest.fixture
async def scientist(sign_in: SignIn, mlflow: Tracker) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


@pytest.fixture
async def actor(scientist: httpx2.AsyncClient) -> Actor:
    return await actor_of(scientist)


def register(mlflow: Tracker, **figures: float) -> str:
    """As MLflow's client does it; returns MLflow's number."""
    client = mlflow.client()
    run_id = mlflow.log(TrackedRun("elsewhere", "theirs", {"depth": 3}, figures))
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(NAME)
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    return str(client.create_model_version(NAME, source, run_id).version)


async def versions(client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get(f"{URL}/versions")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found[::-1]


async def test_each_version_is_mirrored_once_also_one_that_was_missed(
    scientist: httpx2.AsyncClient, actor: Actor, mlflow: Tracker, resources: Resources,
    run_jobs: RunJobs,
) -> None:  # fmt: skip
    register(mlflow, accuracy=0.5)  # Nobody asked for this one to be mirrored.
    register(mlflow, accuracy=0.75)
    for _ in range(2):
        await mirroring.ask(resources, actor, NAME)
        await run_jobs()
    found = await versions(scientist)
    assert [(one["version"], one["mlflow_version"]) for one in found] == [(1, "1"), (2, "2")]
    assert [one["metrics"] for one in found] == [{"accuracy": 0.5}, {"accuracy": 0.75}]
    assert {(one["algorithm"], one["dataset"], one["job_id"]) for one in found} == {
        ("external", "", None)
    }
    shown = (await scientist.get(URL)).json()
    assert (shown["type"], shown["accuracy"], shown["owner_id"]) == ("external", 0.75, actor.id)


async def test_texts_that_mlflow_keeps_as_models_are_none(
    scientist: httpx2.AsyncClient, actor: Actor, mlflow: Tracker, resources: Resources,
    run_jobs: RunJobs,
) -> None:  # fmt: skip
    number = register(mlflow)
    mlflow.client().set_model_version_tag(NAME, number, mirroring.PROMPT_TAG, "true")
    await mirroring.ask(resources, actor, NAME)
    await run_jobs()
    assert (await scientist.get(URL)).status_code == 404


async def test_its_stage_is_an_alias_of_the_version_that_its_client_made(
    scientist: httpx2.AsyncClient, actor: Actor, mlflow: Tracker, resources: Resources,
    run_jobs: RunJobs,
) -> None:  # fmt: skip
    register(mlflow)
    register(mlflow)
    await mirroring.ask(resources, actor, NAME)
    await run_jobs()
    assert (await promote(scientist, 1, "staging", NAME)).status_code == 200
    await run_jobs()
    client = mlflow.client()
    aliases = {
        alias: client.get_model_version_by_alias(NAME, alias).version
        for alias in ("newest", "staging")
    }
    assert {alias: str(number) for alias, number in aliases.items()} == {
        "newest": "2", "staging": "1"
    }  # fmt: skip
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 2
    refused = await promote(scientist, 1, "production", NAME)
    assert refused.status_code == 409
    assert "ONNX" in refused.json()["detail"]


async def test_an_external_version_answers_nothing_and_is_exported_as_nothing(
    scientist: httpx2.AsyncClient, actor: Actor, mlflow: Tracker, resources: Resources,
    run_jobs: RunJobs,
) -> None:  # fmt: skip
    register(mlflow)
    await mirroring.ask(resources, actor, NAME)
    await run_jobs()
    body = {"records": [{"a": 1}]}
    for answer in (
        await scientist.post(f"{URL}/versions/1/predict", json=body),
        await scientist.get(f"{URL}/versions/1/export"),
    ):
        assert answer.status_code == 409
        assert "ONNX" in answer.json()["detail"]
    again = await scientist.post(f"{URL}/versions/1/reproduce")
    assert again.status_code == 409
    assert "not trained here" in again.json()["detail"]
