"""What a caller meets at the model doors."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from astralytiq import __version__
from astralytiq.core import direct
from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database, utc_now
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.registry import serving
from astralytiq.features.registry.models import ModelVersion, Stage
from tests.conftest import SignIn

from .factories import promote, store_version

pytestmark = pytest.mark.anyio

MODELS = "/api/v1/models"


@pytest.fixture
async def owner(sign_in: SignIn, resources: Resources) -> httpx2.AsyncClient:
    """A data scientist with two versions of one model."""
    client = await sign_in(Role.data_scientist)
    for seed in (1, 2):
        await store_version(resources, client, seed=seed)
    return client


async def stages(client: httpx2.AsyncClient) -> list[str]:
    """Of all versions, the oldest first."""
    found = (await client.get(f"{MODELS}/flowers/versions")).json()
    return [version["stage"] for version in reversed(found)]


async def test_models_are_listed_with_measured_figures(owner: httpx2.AsyncClient) -> None:
    answer = await owner.get(f"{MODELS}/")
    assert answer.headers["x-total-count"] == "1"
    (model,) = answer.json()
    metrics = (await owner.get(f"{MODELS}/flowers/versions/2")).json()["metrics"]
    expected = {
        "name": "flowers",
        "type": "random_forest",
        "version": 2,
        "latest_version": 2,
        "status": "none",
        "accuracy": metrics["accuracy"],
        "precision_score": metrics["precision"],
        "recall_score": metrics["recall"],
        "f1_score": metrics["f1_score"],
        "deployment_date": None,
        "requests_per_day": None,
        "avg_latency_ms": None,
    }
    assert {key: model[key] for key in expected} == expected


async def test_its_owner_says_what_a_model_is_for(
    owner: httpx2.AsyncClient, sign_in: SignIn, database: Database
) -> None:
    before = await owner.get(f"{MODELS}/flowers")
    assert before.json()["description"] is None
    said = {"description": "Tells flowers apart.\nOf made-up gardens."}
    changed = await owner.put(
        f"{MODELS}/flowers", json=said, headers={"If-Match": before.headers["etag"]}
    )
    assert changed.status_code == 200
    assert changed.json() == {**before.json(), **said, "updated_at": changed.json()["updated_at"]}
    assert (await owner.get(MODELS)).json() == [changed.json()]
    late = {"If-Match": before.headers["etag"]}
    refused = await owner.patch(f"{MODELS}/flowers", json={"description": "x"}, headers=late)
    assert refused.status_code == 412
    assert (await owner.patch(f"{MODELS}/flowers", json=said)).headers["etag"] == changed.headers[
        "etag"
    ]
    stranger = await sign_in(Role.data_scientist)
    assert (await stranger.patch(f"{MODELS}/flowers", json=said)).status_code == 403
    for wrong in ({"description": "x" * 2001}, {"name": "roses"}, {"description": "a\0b"}):
        assert (await owner.patch(f"{MODELS}/flowers", json=wrong)).status_code == 422
    assert (await owner.patch(f"{MODELS}/roses", json=said)).status_code == 404
    async with database.reading() as session:
        query = select(AuditEntry.details).where(AuditEntry.action == "model.changed")
        assert list(await session.scalars(query)) == [{"fields": ["description"]}]
    taken = await owner.patch(f"{MODELS}/flowers", json={"description": None})
    assert taken.json()["description"] is None


async def test_the_list_shows_the_version_in_production(owner: httpx2.AsyncClient) -> None:
    await promote(owner, 1)
    (model,) = (await owner.get(MODELS)).json()
    assert (model["version"], model["latest_version"], model["status"]) == (1, 2, "production")
    assert (model["requests_per_day"], model["deployment_date"] is None) == (0.0, False)
    assert (await owner.get(f"{MODELS}/flowers")).json() == model


async def test_a_version_says_all_that_it_was_made_from(owner: httpx2.AsyncClient) -> None:
    version = (await owner.get(f"{MODELS}/flowers/versions/1")).json()
    assert version["params"]["n_estimators"] == 5
    assert version["features"] == [
        {"name": "length", "type": "float64"},
        {"name": "width", "type": "int64"},
    ]
    assert (version["target"], version["classes"]) == ("species", ["setosa", "virginica"])
    assert (version["seed"], version["code_version"]) == (1, __version__)
    assert (len(version["sha256"]), version["dataset"][-2:]) == (64, "@1")


async def test_one_version_is_in_production_and_rollback_is_one_call(
    owner: httpx2.AsyncClient, database: Database
) -> None:
    assert (await promote(owner, 1)).json()["stage"] == "production"
    await promote(owner, 2)
    assert await stages(owner) == ["archived", "production"]
    await promote(owner, 1)
    assert await stages(owner) == ["production", "archived"]
    for stage in ("staging", "none", "archived", "production"):
        assert (await promote(owner, 1, stage)).status_code == 200
    async with database.reading() as session:
        query = select(AuditEntry.details).where(AuditEntry.action == "model.stage_changed")
        details = (await session.scalars(query.order_by(AuditEntry.id))).all()
    assert details[0] == {"before": "none", "after": "production"}
    assert len(details) == 7


async def test_the_database_itself_keeps_a_second_production_version_out(
    owner: httpx2.AsyncClient, database: Database
) -> None:
    async def force(session: Any) -> None:
        await session.execute(update(ModelVersion).values(stage=Stage.production))

    with pytest.raises(IntegrityError):
        await database.write(force)


async def test_a_stage_is_changed_as_the_model_was_seen(owner: httpx2.AsyncClient) -> None:
    url = f"{MODELS}/flowers"
    tag = (await owner.get(url)).headers["etag"]
    assert (await owner.get(url, headers={"If-None-Match": tag})).status_code == 304
    change = f"{url}/versions/1/stage"
    seen = {"If-Match": tag}
    first = await owner.post(change, json={"stage": "staging"}, headers=seen)
    assert (first.status_code, first.headers["etag"] == tag) == (200, False)
    again = await owner.post(change, json={"stage": "none"}, headers=seen)
    assert again.status_code == 412


async def test_requests_per_day_counts_from_the_deployment(
    owner: httpx2.AsyncClient, database: Database
) -> None:
    async with database.reading() as session:
        first = select(ModelVersion.id).where(ModelVersion.number == 1)
        version_id = (await session.scalars(first)).one()
    served = serving.counted(version_id, 10, 25.0)
    await direct.store(database, [], [served])  # Asked for by its number: before its deployment.
    await promote(owner, 1)
    await direct.store(database, [], [served])
    (model,) = (await owner.get(MODELS)).json()
    assert (model["requests_per_day"], model["avg_latency_ms"]) == (10.0, 2.5)

    async def age(session: Any) -> None:
        past = utc_now() - timedelta(days=4)
        await session.execute(update(ModelVersion).values(deployed_at=past))

    await database.write(age)
    (model,) = (await owner.get(MODELS)).json()
    assert model["requests_per_day"] == 2.5


async def test_the_team_reads_but_only_the_owner_and_admins_promote(
    owner: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    viewer, other = await sign_in(Role.viewer), await sign_in(Role.data_scientist)
    assert len((await viewer.get(MODELS)).json()) == 1
    assert (await promote(viewer)).status_code == 403
    assert (await promote(other)).status_code == 403
    assert (await promote(await sign_in(Role.admin))).status_code == 200
    for path in ("", "/flowers", "/flowers/versions", "/flowers/versions/1"):
        assert (await client.get(MODELS + path)).status_code == 401
    assert (await promote(client)).status_code == 401


@pytest.mark.parametrize("path", ["nobody", "%00", "a b", "flowers/versions/3"])
async def test_what_is_not_there_is_not_found(owner: httpx2.AsyncClient, path: str) -> None:
    assert (await owner.get(f"{MODELS}/{path}")).status_code == 404


@pytest.mark.parametrize("version", [0, 9**30])
async def test_what_cannot_be_a_version_is_told_so(owner: httpx2.AsyncClient, version: int) -> None:
    assert (await owner.get(f"{MODELS}/flowers/versions/{version}")).status_code == 422


async def test_an_unknown_stage_is_refused(owner: httpx2.AsyncClient) -> None:
    assert (await promote(owner, 1, "live")).status_code == 422
