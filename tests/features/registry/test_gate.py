"""A version goes into production if it is as good as the champion, and out of it in one call."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database, new_id
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.datasets.models import DatasetVersion
from astralytiq.features.registry import service as registry
from tests.conftest import SignIn
from tests.features.datasets.factories import upload

from .factories import actor_of, forest, promote

pytestmark = pytest.mark.anyio

MODEL = "/api/v1/models/flowers"
Json = dict[str, Any]
Trained = Callable[..., Awaitable[int]]


@pytest.fixture
async def owner(sign_in: SignIn) -> httpx2.AsyncClient:
    owner = await sign_in(Role.data_scientist)
    await upload(owner)
    return owner


@pytest.fixture
def trained(owner: httpx2.AsyncClient, resources: Resources) -> Trained:
    """Adds a version with these metrics; the others say what else it was trained with."""

    async def add(metrics: Json, **others: Any) -> int:
        actor = await actor_of(owner)
        async with resources.database.reading() as session:
            frozen = (await session.scalars(select(DatasetVersion).limit(1))).one()
        made = forest(resources, "flowers", frozen.id, frozen.reference, 0)
        made = replace(made, **{"metrics": metrics, "job_id": new_id(), **others})
        version = await resources.database.write(
            lambda session: registry.add_version(session, actor, "flowers", made)
        )
        return version.number

    return add


async def gated(
    client: httpx2.AsyncClient, number: int, metric: str = "accuracy", **gate: Any
) -> httpx2.Response:
    body = {"stage": "production", "gate": {"metric": metric, **gate}}
    return await client.post(f"{MODEL}/versions/{number}/stage", json=body)


async def champion(client: httpx2.AsyncClient) -> int | None:
    versions = (await client.get(f"{MODEL}/versions")).json()
    found = [one["version"] for one in versions if one["stage"] == "production"]
    return found[0] if found else None


async def trail(database: Database, action: str) -> list[Any]:
    async with database.reading() as session:
        query = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
        return list(await session.scalars(query))


async def test_as_good_passes_and_worse_does_not(
    owner: httpx2.AsyncClient, trained: Trained
) -> None:
    for accuracy in (0.9, 0.9, 0.8):
        await trained({"accuracy": accuracy})
    first = await gated(owner, 1)
    assert first.status_code == 200, first.text
    found = {name: first.json()["gate"][name] for name in ("passed", "champion", "gain")}
    assert found == {"passed": True, "champion": None, "gain": None}
    second = (await gated(owner, 2)).json()
    assert (second["stage"], second["gate"]["champion"], second["gate"]["gain"]) == (
        "production", 1, 0.0,
    )  # fmt: skip
    assert second["gate"]["same_rows"] is True
    refused = await gated(owner, 3)
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    words = refused.json()["detail"]
    for told in ("Version 3 of 'flowers'", "its accuracy is 0.8", "version 2", "0.9", "as good"):
        assert told in words, words
    assert await champion(owner) == 2


async def test_a_gain_is_counted_to_the_last_digit(
    owner: httpx2.AsyncClient, trained: Trained
) -> None:
    for accuracy in (0.2, 0.3):
        await trained({"accuracy": accuracy})
    await promote(owner, 1)
    refused = await gated(owner, 2, min_gain=0.2)
    assert "it must be at least 0.2 better" in refused.json()["detail"]
    passed = await gated(owner, 2, min_gain=0.1)
    assert passed.status_code == 200, passed.text


async def test_of_errors_less_is_better(owner: httpx2.AsyncClient, trained: Trained) -> None:
    for rmse in (2.0, 2.5, 1.5):
        await trained({"rmse": rmse}, task="regression")
    await promote(owner, 1)
    assert (await gated(owner, 2, "rmse")).status_code == 409
    better = await gated(owner, 3, "rmse", min_gain=0.5)
    assert (better.status_code, better.json()["gate"]["gain"]) == (200, 0.5)


async def test_a_bound_holds_also_without_a_champion(
    owner: httpx2.AsyncClient, trained: Trained
) -> None:
    await trained({"accuracy": 0.7, "log_loss": 0.6})
    below = await gated(owner, 1, minimum=0.8)
    assert "0.7, below the minimum of 0.8" in below.json()["detail"]
    above = await gated(owner, 1, "log_loss", maximum=0.5)
    assert "0.6, above the maximum of 0.5" in above.json()["detail"]
    assert await champion(owner) is None
    assert (await gated(owner, 1, minimum=0.7)).status_code == 200
    # It is the champion itself now: there is nothing to be compared with.
    again = await gated(owner, 1, min_gain=0.1)
    assert (again.status_code, again.json()["gate"]["champion"]) == (200, None)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"seed": 7}, "seed: 7 and 0"),
        ({"evaluation": {"test_size": 0.5}}, "test size: 0.5 and 0.25"),
        ({"evaluation": {}}, "test size: unknown and 0.25"),
        ({"dataset": "9@4"}, "dataset: 9@4 and 1@1"),
    ],
)
async def test_what_was_measured_on_other_rows_is_not_compared_unless_one_insists(
    owner: httpx2.AsyncClient, trained: Trained, other: Json, told: str
) -> None:
    await trained({"accuracy": 0.5})
    await trained({"accuracy": 0.9}, **other)
    await promote(owner, 1)
    refused = await gated(owner, 2)
    assert refused.status_code == 409
    for words in (told, "0.9", "0.5", "not measured on the same rows", "allow_different_data"):
        assert words in refused.json()["detail"]
    passed = await gated(owner, 2, allow_different_data=True)
    gate = passed.json()["gate"]
    assert (passed.status_code, gate["same_rows"], gate["differences"]) == (200, False, [told])


async def test_clusters_are_compared_in_one_space_and_without_a_split(
    owner: httpx2.AsyncClient, trained: Trained
) -> None:
    clusters = {"task": "clustering", "target": "", "evaluation": {}}
    await trained({"inertia": 9.0}, **clusters)
    await trained({"inertia": 8.0}, **clusters, seed=3)
    await trained({"inertia": 1.0}, **clusters, features=[{"name": "length", "type": "float64"}])
    await promote(owner, 1)
    assert (await gated(owner, 2, "inertia")).status_code == 200
    assert "features" in (await gated(owner, 3, "inertia")).json()["detail"]


async def test_a_gate_that_makes_no_sense_is_refused(
    owner: httpx2.AsyncClient, trained: Trained
) -> None:
    await trained({"accuracy": 0.9, "log_loss": 0.1})
    unknown = await gated(owner, 1, "beauty")
    assert unknown.status_code == 422
    assert "['accuracy', 'log_loss']" in unknown.json()["detail"]
    for metric, bound in (("accuracy", "maximum"), ("log_loss", "minimum")):
        refused = await gated(owner, 1, metric, **{bound: 0.5})
        (fault,) = refused.json()["errors"]
        assert (refused.status_code, fault["loc"]) == (422, ["body", "gate", bound])
    assert (await gated(owner, 1, min_gain=-1)).status_code == 422
    body = {"stage": "staging", "gate": {"metric": "accuracy"}}
    elsewhere = await owner.post(f"{MODEL}/versions/1/stage", json=body)
    assert elsewhere.status_code == 422
    await promote(owner, 1)
    await trained({"accuracy": 0.9, "f1_score": 0.9})
    missing = await gated(owner, 2, "f1_score")
    assert (missing.status_code, "has no f1_score" in missing.json()["detail"]) == (409, True)


async def test_the_trail_keeps_what_was_refused_and_what_passed(
    owner: httpx2.AsyncClient, trained: Trained, database: Database
) -> None:
    for accuracy in (0.9, 0.8, 0.95):
        await trained({"accuracy": accuracy})
    await promote(owner, 1)
    tag = (await owner.get(MODEL)).headers["etag"]
    await gated(owner, 2)
    (refused,) = await trail(database, "model.promotion_refused")
    assert (refused.resource, refused.outcome) == ("model/flowers/2", "refused")
    kept = {name: refused.details["gate"][name] for name in ("value", "champion_value", "champion")}
    assert kept == {"value": 0.8, "champion_value": 0.9, "champion": 1}
    assert (await owner.get(MODEL)).headers["etag"] == tag  # Nothing else was changed.
    await gated(owner, 3)
    last = (await trail(database, "model.stage_changed"))[-1]
    assert (last.details["gate"]["passed"], last.details["gate"]["value"]) == (True, 0.95)


async def test_of_two_at_once_each_is_judged_against_who_is_in_production_then(
    owner: httpx2.AsyncClient, trained: Trained
) -> None:
    for accuracy in (0.5, 0.9, 0.8):
        await trained({"accuracy": accuracy})
    await promote(owner, 1)
    better, worse = await asyncio.gather(gated(owner, 2), gated(owner, 3))
    assert better.status_code == 200
    assert await champion(owner) == 2
    # The worse one passed before the better, or met it and was refused; never after it.
    if worse.status_code == 200:
        assert (worse.json()["gate"]["champion"], better.json()["gate"]["champion"]) == (1, 3)
    else:
        assert (worse.status_code, "version 2" in worse.json()["detail"]) == (409, True)


# Rolling back -----------------------------------------------------------------------------------


async def test_rolling_back_goes_further_back_each_time(
    owner: httpx2.AsyncClient, trained: Trained, database: Database
) -> None:
    for number in (1, 2, 3):
        await trained({"accuracy": 0.1 * number})
        await promote(owner, number)
    answer = await owner.post(f"{MODEL}/rollback")
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    assert answer.headers["etag"] == (await owner.get(MODEL)).headers["etag"]
    assert (await owner.post(f"{MODEL}/rollback")).json()["version"] == 1
    assert (await trail(database, "model.stage_changed"))[-1].details["rolled_back_from"] == 2
    nowhere = await owner.post(f"{MODEL}/rollback")
    assert (nowhere.status_code, "promote one" in nowhere.json()["detail"]) == (409, True)
    assert await champion(owner) == 1
    # What is promoted again has a past again.
    await promote(owner, 3)
    await promote(owner, 1)
    assert (await owner.post(f"{MODEL}/rollback")).json()["version"] == 3


async def test_who_answers_changes_with_the_roll_back(
    owner: httpx2.AsyncClient, trained: Trained
) -> None:
    for number in (1, 2):
        await trained({"accuracy": 0.9})
        await promote(owner, number)
    asked = {"records": [{"length": 1.0, "width": 0}]}
    assert (await owner.post(f"{MODEL}/predict", json=asked)).json()["version"] == 2
    await owner.post(f"{MODEL}/rollback")
    assert (await owner.post(f"{MODEL}/predict", json=asked)).json()["version"] == 1


async def test_what_was_taken_out_of_production_comes_back(
    owner: httpx2.AsyncClient, trained: Trained
) -> None:
    await trained({"accuracy": 0.9})
    assert (await owner.post(f"{MODEL}/rollback")).status_code == 409
    await promote(owner, 1)
    await promote(owner, 1, "none")
    assert (await owner.post(f"{MODEL}/rollback")).json()["stage"] == "production"


async def test_only_its_owner_and_admins_roll_back_as_they_saw_it(
    owner: httpx2.AsyncClient, trained: Trained, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    for number in (1, 2):
        await trained({"accuracy": 0.9})
        await promote(owner, number)
    for role, status in ((Role.viewer, 403), (Role.data_scientist, 403)):
        stranger = await sign_in(role)
        assert (await stranger.post(f"{MODEL}/rollback")).status_code == status
        assert (await gated(stranger, 1)).status_code == status
    assert (await client.post(f"{MODEL}/rollback")).status_code == 401
    stale = await owner.post(f"{MODEL}/rollback", headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert (await owner.post("/api/v1/models/nobody/rollback")).status_code == 404
    admin = await sign_in(Role.admin)
    assert (await admin.post(f"{MODEL}/rollback")).json()["version"] == 1
