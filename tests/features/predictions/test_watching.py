"""What somebody sees who watches a model."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs
from astralytiq.core.db import Database, utc_now
from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.datasets.models import DatasetProfile
from astralytiq.features.predictions import counting, counting_jobs
from astralytiq.features.predictions.asking_to_count import COUNT
from astralytiq.features.predictions.models import Outcome, Prediction, Uncounted
from astralytiq.features.registry.service import MIRROR_JOB
from tests.conftest import RunJobs, SignIn
from tests.features.datasets.factories import FLOWERS
from tests.features.predictions.factories import (
    API,
    SETOSA,
    VIRGINICA,
    ask,
    read,
    store_line,
    tell,
)
from tests.features.registry.factories import promote, store_version

pytestmark = pytest.mark.anyio

PATH = "models/flowers/monitoring"
USUAL: list[list[Any]] = [[flower["length"], flower["width"]] for flower in FLOWERS]


@pytest.fixture
async def scientist(sign_in: SignIn, resources: Resources) -> httpx2.AsyncClient:
    """With a model in production."""
    owner = await sign_in(Role.data_scientist)
    await store_version(resources, owner)
    await promote(owner)
    await resources.database.write(without_mlflow)
    return owner


async def without_mlflow(session: AsyncSession) -> None:
    """It takes seconds to start, and is not what these tests are about."""
    await session.execute(delete(Job).where(Job.name == MIRROR_JOB))


def usual(rows: int) -> list[list[float]]:
    """As the training data has them."""
    return [USUAL[place % len(USUAL)] for place in range(rows)]


async def watched(client: httpx2.AsyncClient, **params: Any) -> Any:
    (version,) = (await read(client, PATH, **params))["versions"]
    return version


async def test_of_an_idle_model_nothing_is_said(scientist: httpx2.AsyncClient) -> None:
    found = await read(scientist, PATH)
    assert (found["verdict"], found["not_counted_rows"]) == ("too_few", 0)
    (version,) = found["versions"]
    assert (version["version"], version["stage"]) == (1, "production")
    assert version["traffic"]["requests"] == 0
    assert version["latency"] is None
    assert version["inputs"]["against"] == "1@1"
    assert [one["verdict"] for one in version["inputs"]["features"]] == ["too_few"] * 2
    assert version["quality"]["metrics"] == {}


async def test_rows_like_those_of_training_are_no_drift(scientist: httpx2.AsyncClient) -> None:
    made = await ask(scientist, *usual(120))
    version = await watched(scientist)
    assert (version["verdict"], version["reasons"]) == ("ok", [])
    assert (version["traffic"]["requests"], version["traffic"]["rows"]) == (1, 120)
    assert version["latency"]["p50_ms"] == pytest.approx(made["latency_ms"], rel=0.02)
    for one in version["inputs"]["features"]:
        assert (one["verdict"], one["rows"], one["unseen"]) == ("ok", 120, 0)
        assert one["psi"] < 0.05
        assert one["ks"] < 0.1
    assert version["predictions"]["against"] == "held-out rows"
    assert {one["label"] for one in version["predictions"]["counts"]} == {"setosa", "virginica"}


async def test_counting_changes_nothing_of_what_is_seen(
    scientist: httpx2.AsyncClient, database: Database, run_jobs: RunJobs
) -> None:
    for rows in (usual(130), [SETOSA], [VIRGINICA]):
        await ask(scientist, *rows)
    before = await read(scientist, PATH, window="24h")
    await run_jobs()
    async with database.reading() as session:
        assert await session.scalar(select(func.count(Uncounted.id))) == 3  # Not yet due.
    await database.write(due)
    await run_jobs()
    async with database.reading() as session:
        assert await session.scalar(select(func.count(Uncounted.id))) == 0
    after = await read(scientist, PATH, window="24h")
    for found in (before, after):
        for version in found["versions"]:
            version["traffic"].pop("requests_per_hour")
    assert after == before


async def due(session: AsyncSession) -> None:
    past = utc_now() - timedelta(hours=1)
    await session.execute(update(Job).where(Job.name == COUNT).values(run_at=past))


async def test_inputs_and_answers_that_moved_are_told_with_their_counts(
    scientist: httpx2.AsyncClient,
) -> None:
    await ask(scientist, *([[9.5, 4]] * 60 + [[4.0, 7]] * 60))
    version = await watched(scientist)
    assert version["verdict"] == "drift"
    by_name = {one["feature"]: one for one in version["inputs"]["features"]}
    length, width = by_name["length"], by_name["width"]
    assert (length["verdict"], length["above"], length["rows"]) == ("drift", 60, 120)
    assert (width["verdict"], width["unseen"]) == ("drift", 60)
    assert length["psi"] > 0.25
    assert length["ks_low"] <= length["ks"] <= length["ks_high"]
    assert version["predictions"]["verdict"] == "drift"
    (said,) = (one for one in version["predictions"]["counts"] if one["label"] == "virginica")
    assert said["now"] == 120
    assert any(words.startswith("length: drift, PSI") for words in version["reasons"])


async def test_quality_is_told_where_the_truth_came_back(scientist: httpx2.AsyncClient) -> None:
    made = await ask(scientist, *usual(120))
    right = list(made["predictions"])
    few = await watched(scientist)
    assert (few["quality"]["verdict"], few["quality"]["outcomes"]) == ("too_few", 0)
    wrong = ["setosa" if label == "virginica" else "virginica" for label in right[:40]]
    await tell(scientist, made["prediction_id"], outcomes=[*wrong, *right[40:]])
    found = (await watched(scientist))["quality"]
    assert (found["outcomes"], found["coverage"]) == (120, 1.0)
    assert found["metrics"]["accuracy"] == pytest.approx(80 / 120)
    assert set(found["metrics"]) == {"accuracy", "precision", "recall", "f1_score"}
    assert found["held_out"]["accuracy"] == 1.0
    assert sum(map(sum, found["confusion_matrix"])) == 120
    assert found["verdict"] == "drift"
    await tell(scientist, made["prediction_id"], outcomes=right)
    better = await watched(scientist)
    assert (better["quality"]["metrics"]["accuracy"], better["verdict"]) == (1.0, "ok")


async def test_a_regression_is_watched_by_its_numbers(
    sign_in: SignIn, resources: Resources
) -> None:
    owner = await sign_in(Role.data_scientist)
    await store_line(resources, owner)
    await promote(owner, name="line")
    made = await ask(owner, *(row[:1] for row in usual(720)), model="line")
    count = len(made["predictions"])
    await tell(owner, made["prediction_id"], outcomes=[one + 0.5 for one in made["predictions"]])
    (version,) = (await read(owner, "models/line/monitoring"))["versions"]
    assert version["predictions"]["against"] == "the training data's target"
    assert version["predictions"]["rows"] == count
    assert version["predictions"]["psi"] is not None
    assert version["quality"]["metrics"]["mae"] == pytest.approx(0.5)
    assert version["quality"]["metrics"]["rmse"] == pytest.approx(0.5)


async def test_without_a_profile_inputs_are_counted_but_not_compared(
    scientist: httpx2.AsyncClient, database: Database
) -> None:
    await database.write(lambda session: session.execute(delete(DatasetProfile)))
    await ask(scientist, *usual(120))
    version = await watched(scientist)
    assert {one["verdict"] for one in version["inputs"]["features"]} == {"unknown"}
    assert version["traffic"]["rows"] == 120
    assert version["predictions"]["verdict"] == "ok"


async def test_each_version_is_watched_alone_the_one_in_production_first(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await store_version(resources, scientist, seed=1)
    await ask(scientist, SETOSA, SETOSA)
    await promote(scientist, 2)
    await ask(scientist, SETOSA)
    found = await read(scientist, PATH)
    assert [(one["version"], one["traffic"]["rows"]) for one in found["versions"]] == [
        (2, 1),
        (1, 2),
    ]
    (one,) = (await read(scientist, PATH, version=1))["versions"]
    assert one["traffic"]["rows"] == 2
    assert (await scientist.get(f"{API}/{PATH}", params={"version": 9})).status_code == 404


async def test_a_window_is_whole_hours_and_bounded(scientist: httpx2.AsyncClient) -> None:
    await ask(scientist, SETOSA)
    now = utc_now()
    past = {"since": "2026-01-01T10:20:00Z", "until": "2026-01-02T10:20:00Z"}
    found = await read(scientist, PATH, **past)
    assert (found["since"], found["until"]) == ("2026-01-01T10:00:00Z", "2026-01-02T11:00:00Z")
    assert found["versions"][0]["traffic"]["requests"] == 0
    day = await read(scientist, PATH, since=(now - timedelta(hours=1)).isoformat())
    assert day["versions"][0]["traffic"]["requests"] == 1
    for wrong in (
        {"window": "32d"},
        {"window": "1w"},
        {"window": "1d", **past},
        {"since": past["until"], "until": past["since"]},
        {"since": "0001-01-01", "until": "9999-12-31"},
    ):
        refused = await scientist.get(f"{API}/{PATH}", params=wrong)
        assert refused.status_code == 422, wrong


async def test_the_team_watches_and_nobody_else(
    scientist: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    viewer = await sign_in(Role.viewer)
    assert (await viewer.get(f"{API}/{PATH}")).status_code == 200
    assert (await client.get(f"{API}/{PATH}")).status_code == 401
    assert (await viewer.get(f"{API}/models/nobody/monitoring")).status_code == 404


async def test_old_predictions_go_with_their_outcomes_and_what_was_counted_stays(
    scientist: httpx2.AsyncClient, resources: Resources, database: Database, run_jobs: RunJobs
) -> None:
    old, new = (await ask(scientist, *usual(120))), (await ask(scientist, SETOSA))
    for made in (old, new):
        await tell(scientist, made["prediction_id"], outcomes=made["predictions"])
    before = await watched(scientist, window="24h")

    async def age(session: AsyncSession) -> None:
        past = utc_now() - timedelta(days=40)
        chosen = Prediction.id == old["prediction_id"]
        await session.execute(update(Prediction).where(chosen).values(created_at=past))

    await counting.count_all(database)
    await database.write(age)
    kept = resources.settings.model_copy(update={"predictions_retention_days": 30})
    object.__setattr__(resources, "settings", kept)
    await database.write(lambda session: jobs.enqueue(session, counting_jobs.TIDY))
    await run_jobs()
    gone = await scientist.get(f"{API}/predictions/{old['prediction_id']}")
    assert gone.status_code == 404
    assert await read(scientist, f"predictions/{new['prediction_id']}")
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Outcome)) == 1
    after = await watched(scientist, window="24h")
    for version in (before, after):
        version["traffic"].pop("requests_per_hour")
    assert after == before


async def test_the_data_set_is_not_read_again(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await ask(scientist, *usual(120))
    files = list(resources.settings.home.rglob("*.parquet"))
    assert files
    for path in files:
        path.unlink()
    assert (await watched(scientist))["verdict"] == "ok"
