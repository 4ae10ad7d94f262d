"""What callers meet who tell what was true in the end."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.predictions.models import Outcome, QualityHour
from tests.conftest import SignIn
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

BULK = f"{API}/models/flowers/outcomes"


@pytest.fixture
async def scientist(sign_in: SignIn, resources: Resources) -> httpx2.AsyncClient:
    """With a model in production."""
    owner = await sign_in(Role.data_scientist)
    await store_version(resources, owner)
    await promote(owner)
    return owner


async def quality(database: Database) -> list[dict[str, Any]]:
    async with database.reading() as session:
        return list(await session.scalars(select(QualityHour.statistics)))


async def test_an_outcome_is_kept_with_its_prediction_and_shown_in_its_trace(
    scientist: httpx2.AsyncClient,
) -> None:
    made = await ask(scientist, SETOSA)
    told = await tell(scientist, made["prediction_id"], outcome="virginica")
    assert told.status_code == 200, told.text
    (one,) = told.json()["outcomes"]
    assert (one["row"], one["predicted"], one["outcome"]) == (0, "setosa", "virginica")
    found = await read(scientist, f"predictions/{made['prediction_id']}")
    assert found["outcomes"] == [one]
    trace = await read(scientist, f"predictions/{made['prediction_id']}/trace")
    assert trace["prediction"]["outcomes"] == [one]


async def test_the_same_outcome_again_is_answered_the_same_and_another_replaces_it(
    scientist: httpx2.AsyncClient, database: Database
) -> None:
    made = (await ask(scientist, SETOSA))["prediction_id"]
    seen = "2026-01-31T12:00:00Z"
    first = await tell(scientist, made, outcome="virginica", observed_at=seen)
    again = await tell(scientist, made, outcome="virginica")
    assert first.json() == again.json()
    assert await quality(database) == [
        {"outcomes": 1, "pairs": {'["virginica","setosa"]': 1}},
    ]
    changed = await tell(scientist, made, outcome="setosa")
    (one,) = changed.json()["outcomes"]
    (before,) = one["before"]
    assert before["told_at"].endswith("Z")
    assert (one["outcome"], before["outcome"]) == ("setosa", "virginica")
    assert before["observed_at"].startswith("2026-01-31T12:00:00")
    (counted,) = await quality(database)
    assert counted["outcomes"] == 1
    assert {name: n for name, n in counted["pairs"].items() if n} == {'["setosa","setosa"]': 1}
    async with database.reading() as session:
        query = select(AuditEntry.resource, AuditEntry.details).where(
            AuditEntry.action == "outcome.replaced"
        )
        ((resource, details),) = (await session.execute(query)).all()
    assert (resource, details) == (f"prediction/{made}", {"rows": 1})


async def test_of_many_rows_each_has_its_outcome_or_none_yet(
    scientist: httpx2.AsyncClient,
) -> None:
    made = (await ask(scientist, SETOSA, VIRGINICA, SETOSA))["prediction_id"]
    told = await tell(scientist, made, outcomes=["setosa", None, "virginica"])
    assert [(one["row"], one["predicted"], one["outcome"]) for one in told.json()["outcomes"]] == [
        (0, "setosa", "setosa"),
        (2, "setosa", "virginica"),
    ]
    for wrong in ({"outcome": "setosa"}, {"outcomes": ["setosa"]}):
        refused = await tell(scientist, made, **wrong)
        assert (refused.status_code, "3 rows" in refused.json()["detail"]) == (422, True)


async def test_everything_wrong_with_many_outcomes_is_told_at_once_and_none_is_stored(
    scientist: httpx2.AsyncClient, database: Database
) -> None:
    made = (await ask(scientist, SETOSA))["prediction_id"]
    good = {"prediction_id": made, "outcome": "setosa"}
    body = {
        "outcomes": [
            good,
            {"prediction_id": "nobody's", "outcome": "setosa"},
            {**good, "outcome": "rose"},
            {**good, "row": 7},
            good,
            {"prediction_id": "a\u0001", "outcome": 1},
        ]
    }
    refused = await scientist.post(BULK, json=body)
    assert refused.status_code == 422
    assert [(tuple(one["loc"][2:]), one["type"]) for one in refused.json()["errors"]] == [
        ((1, "prediction_id"), "unknown_prediction"),
        ((2,), "wrong_outcome"),
        ((3,), "wrong_outcome"),
        ((4,), "duplicate"),
        ((5, "prediction_id"), "unknown_prediction"),
    ]
    assert '"setosa", "virginica"' in refused.json()["errors"][1]["msg"]
    assert await quality(database) == []


async def test_many_outcomes_are_stored_together(
    scientist: httpx2.AsyncClient, database: Database
) -> None:
    asked = [await ask(scientist, SETOSA, VIRGINICA) for _ in range(3)]
    outcomes = [
        {"prediction_id": one["prediction_id"], "row": row, "outcome": "setosa"}
        for one in asked
        for row in (0, 1)
    ]
    stored = await scientist.post(BULK, json={"outcomes": outcomes})
    counts = {"model": "flowers", "new": 6, "replaced": 0, "unchanged": 0}
    assert (stored.status_code, stored.json()) == (200, counts)
    again = await scientist.post(BULK, json={"outcomes": outcomes[:2]})
    assert again.json() == {**counts, "new": 0, "unchanged": 2}
    outcomes[1]["outcome"] = "virginica"
    third = await scientist.post(BULK, json={"outcomes": outcomes})
    assert third.json() == {**counts, "new": 0, "replaced": 1, "unchanged": 5}
    (counted,) = await quality(database)
    pairs = {'["setosa","setosa"]': 3, '["setosa","virginica"]': 2, '["virginica","virginica"]': 1}
    assert counted == {"outcomes": 6, "pairs": pairs}
    everything = [{**one, "outcome": "virginica"} for one in outcomes]
    last = await scientist.post(BULK, json={"outcomes": everything})
    assert last.json() == {**counts, "new": 0, "replaced": 5, "unchanged": 1}
    async with database.reading() as session:
        query = select(AuditEntry.resource, AuditEntry.details).where(
            AuditEntry.action == "outcome.replaced"
        )
        found = [tuple(row) for row in await session.execute(query.order_by(AuditEntry.id))]
    assert found == [
        (f"prediction/{asked[0]['prediction_id']}", {"rows": 1}),
        ("model/flowers", {"rows": 5, "predictions": 3}),
    ]


async def test_an_outcome_of_a_regression_is_a_number(
    sign_in: SignIn, resources: Resources, database: Database
) -> None:
    owner = await sign_in(Role.data_scientist)
    await store_line(resources, owner)
    await promote(owner, name="line")
    made = await ask(owner, [2.0], model="line")
    for wrong in ("much", True, 1e200):
        assert (await tell(owner, made["prediction_id"], outcome=wrong)).status_code == 422
    (predicted,) = made["predictions"]
    for truth in (10, predicted + 2):
        assert (await tell(owner, made["prediction_id"], outcome=truth)).status_code == 200
    (counted,) = await quality(database)
    assert counted["outcomes"] == 1
    assert (counted["error"], counted["error2"]) == (pytest.approx(2), pytest.approx(4))


async def test_only_those_who_may_see_a_prediction_tell_its_outcome(
    scientist: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient, database: Database
) -> None:
    made = (await ask(scientist, SETOSA))["prediction_id"]
    other, viewer = await sign_in(Role.data_scientist), await sign_in(Role.viewer)
    one = {"outcomes": [{"prediction_id": made, "outcome": "setosa"}]}
    for person, single, bulk in ((client, 401, 401), (viewer, 403, 403), (other, 404, 422)):
        assert (await tell(person, made, outcome="setosa")).status_code == single
        assert (await person.post(BULK, json=one)).status_code == bulk
    assert (await tell(await sign_in(Role.admin), made, outcome="setosa")).status_code == 200
    async with database.reading() as session:
        assert len((await session.scalars(select(Outcome))).all()) == 1


async def test_a_body_that_says_nothing_or_two_things_is_refused(
    scientist: httpx2.AsyncClient,
) -> None:
    made = (await ask(scientist, SETOSA))["prediction_id"]
    for body in ({}, {"outcome": "setosa", "outcomes": ["setosa"]}, {"outcome": ["setosa"]}):
        assert (await tell(scientist, made, **body)).status_code == 422
    assert (await scientist.post(BULK, json={"outcomes": []})).status_code == 422
