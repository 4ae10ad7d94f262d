"""A challenger scores the same requests, and nobody who asks can tell."""

import asyncio
import threading
from typing import Any

import httpx2
import pytest
from sqlalchemy import delete, func, select

from astralytiq.core import broadcast
from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database, utc_now
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.predictions import mirroring
from astralytiq.features.predictions.mirroring import mirror
from astralytiq.features.predictions.models import Prediction, Shadow, ShadowResult
from astralytiq.features.registry.models import ModelVersion
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
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio

SHADOW = f"{API}/models/flowers/shadow"


@pytest.fixture
async def scientist(sign_in: SignIn, resources: Resources) -> httpx2.AsyncClient:
    """Of two versions of a model, of which the first is in production."""
    owner = await sign_in(Role.data_scientist)
    for seed in (0, 1):
        await store_version(resources, owner, seed=seed)
    await promote(owner)
    return owner


async def start(client: httpx2.AsyncClient, version: int = 2, **more: Any) -> Any:
    answer = await client.post(SHADOW, json={"version": version, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def report(client: httpx2.AsyncClient, resources: Resources) -> Any:
    await mirror(resources).idle()
    return await read(client, "models/flowers/shadow")


async def actions(database: Database) -> list[str]:
    async with database.reading() as session:
        query = select(AuditEntry.action).where(AuditEntry.action.startswith("shadow."))
        return list(await session.scalars(query.order_by(AuditEntry.id)))


async def test_a_challenger_is_compared_with_its_champion(
    scientist: httpx2.AsyncClient, resources: Resources, database: Database
) -> None:
    assert (await report(scientist, resources))["status"] == "none"
    begun = await start(scientist)
    assert (begun["status"], begun["version"], begun["share"]) == ("running", 2, 1.0)
    for rows in ([SETOSA], [VIRGINICA, SETOSA], [SETOSA]):
        await ask(scientist, *rows)
    (beside,) = (await report(scientist, resources))["against"]
    assert (beside["champion"], beside["requests"], beside["rows"]) == (1, 3, 4)
    assert (beside["agreement"], beside["disagreements"]) == (1.0, [])
    assert (beside["failed"], beside["dropped"]) == (0, 0)
    assert beside["champion_latency"]["mean_ms"] > 0
    assert beside["challenger_latency"]["p99_ms"] > 0
    async with database.reading() as session:
        results = list(await session.scalars(select(ShadowResult.predictions)))
    assert sorted(results) == [["setosa"], ["setosa"], ["virginica", "setosa"]]
    assert await actions(database) == ["shadow.started"]


async def test_the_same_again_changes_nothing_another_share_begins_anew(
    scientist: httpx2.AsyncClient, database: Database
) -> None:
    first = await start(scientist)
    assert (await start(scientist))["started_at"] == first["started_at"]
    second = await start(scientist, share=0.5)
    assert (second["share"], second["started_at"] > first["started_at"]) == (0.5, True)
    assert await actions(database) == ["shadow.started", "shadow.ended", "shadow.started"]
    ended = await scientist.delete(SHADOW)
    assert (ended.status_code, ended.json()["status"]) == (200, "ended")
    assert (await scientist.delete(SHADOW)).status_code == 404
    assert (await read(scientist, "models/flowers/shadow"))["status"] == "ended"


async def test_after_its_end_nothing_is_scored(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await start(scientist)
    await ask(scientist, SETOSA)
    await mirror(resources).idle()
    await scientist.delete(SHADOW)
    await ask(scientist, SETOSA)
    assert (await report(scientist, resources))["against"][0]["requests"] == 1


async def test_only_what_production_answers_is_scored_and_of_it_a_share(
    scientist: httpx2.AsyncClient, resources: Resources, database: Database
) -> None:
    await start(scientist, share=0.5)
    url = f"{API}/models/flowers/versions/2/predict"
    assert (await scientist.post(url, json={"instances": [SETOSA]})).status_code == 200
    made = [(await ask(scientist, SETOSA))["prediction_id"] for _ in range(40)]
    (beside,) = (await report(scientist, resources))["against"]
    wanted = {one for one in made if int(one[-8:], 16) < 0.5 * 2**32}
    async with database.reading() as session:
        assert set(await session.scalars(select(ShadowResult.prediction_id))) == wanted
    assert (beside["requests"], 0 < len(wanted) < 40) == (len(wanted), True)


async def test_promotion_ends_it_for_good(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await start(scientist)
    await ask(scientist, SETOSA)
    await mirror(resources).idle()
    await promote(scientist, 2)
    await ask(scientist, SETOSA)
    found = await report(scientist, resources)
    assert (found["status"], found["ended_at"] is not None) == ("promoted", True)
    await promote(scientist, 1)
    await ask(scientist, SETOSA)
    found = await report(scientist, resources)
    assert (found["status"], found["against"][0]["requests"]) == ("promoted", 1)
    assert (await scientist.delete(SHADOW)).status_code == 404
    assert (await start(scientist))["status"] == "running"


async def test_both_are_judged_whenever_the_truth_comes(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await start(scientist)
    before = await ask(scientist, SETOSA)
    await tell(scientist, before["prediction_id"], outcome="setosa")
    await mirror(resources).idle()
    after = await ask(scientist, SETOSA, VIRGINICA)
    await mirror(resources).idle()
    await tell(scientist, after["prediction_id"], outcomes=["virginica", "virginica"])
    (beside,) = (await report(scientist, resources))["against"]
    for name in ("champion_quality", "challenger_quality"):
        assert beside[name]["outcomes"] == 3
        assert beside[name]["metrics"]["accuracy"] == pytest.approx(2 / 3)
    await tell(scientist, after["prediction_id"], outcomes=["setosa", "virginica"])
    (beside,) = (await report(scientist, resources))["against"]
    assert beside["challenger_quality"]["metrics"]["accuracy"] == 1.0
    assert beside["challenger_quality"]["outcomes"] == 3


async def test_a_version_that_cannot_score_the_same_rows_is_refused_with_every_reason(
    scientist: httpx2.AsyncClient, database: Database
) -> None:
    async def alter(session: Any) -> None:
        version = await session.scalar(select(ModelVersion).where(ModelVersion.number == 2))
        version.features = [{"name": "length", "type": "float64"}, {"name": "hue", "type": "bool"}]
        version.task = "regression"

    itself = await scientist.post(SHADOW, json={"version": 1})
    assert (itself.status_code, "in production itself" in itself.json()["detail"]) == (409, True)
    await database.write(alter)
    refused = await scientist.post(SHADOW, json={"version": 2})
    assert refused.status_code == 409
    for reason in ("'hue'", "'width'", "a regression"):
        assert reason in refused.json()["detail"]
    assert (await scientist.post(SHADOW, json={"version": 3})).status_code == 404
    for share in (0, 1.5):
        wrong = await scientist.post(SHADOW, json={"version": 2, "share": share})
        assert wrong.status_code == 422
    await promote(scientist, 1, "archived")
    assert (await scientist.post(SHADOW, json={"version": 2})).status_code == 409


async def test_a_challenger_with_another_order_of_features_gets_them_in_its_order(
    scientist: httpx2.AsyncClient, resources: Resources, database: Database
) -> None:
    async def turn(session: Any) -> None:
        version = await session.scalar(select(ModelVersion).where(ModelVersion.number == 2))
        version.features = version.features[::-1]

    await database.write(turn)
    await start(scientist)
    await ask(scientist, [1.0, 4])
    await mirror(resources).idle()
    async with database.reading() as session:
        ((said,),) = (await session.scalars(select(ShadowResult.predictions))).all()
    # To this version the first is the width: it sees a flower as long as that is wide.
    assert said == (await ask_version(scientist, [1.0, 4]))


async def ask_version(client: httpx2.AsyncClient, row: list[float]) -> Any:
    body = {"records": [{"length": row[0], "width": row[1]}]}
    answer = await client.post(f"{API}/models/flowers/versions/2/predict", json=body)
    return answer.json()["predictions"][0]


async def test_a_challenger_that_hangs_or_fails_costs_no_answer(
    scientist: httpx2.AsyncClient, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(scientist)
    await ask(scientist, SETOSA)
    await mirror(resources).idle()
    hangs, go_on = threading.Event(), threading.Event()

    def hang(*_: Any) -> Any:
        hangs.set()
        go_on.wait(PATIENCE)
        raise RuntimeError

    monkeypatch.setattr(mirroring, "MOST_WAITING", 3)
    monkeypatch.setattr(mirroring, "adapter_of", hang)
    await ask(scientist, SETOSA)
    assert await asyncio.to_thread(hangs.wait, PATIENCE)
    for _ in range(3 + 8):  # So many fill the queue, and so many find it full.
        assert (await ask(scientist, SETOSA))["version"] == 1
    go_on.set()
    (beside,) = (await report(scientist, resources))["against"]
    assert (beside["requests"], beside["failed"], beside["dropped"]) == (1, 1 + 3, 8)


async def test_a_damaged_challenger_is_told_as_failing(
    scientist: httpx2.AsyncClient, resources: Resources, database: Database
) -> None:
    await start(scientist)
    async with database.reading() as session:
        query = select(ModelVersion.storage_key).where(ModelVersion.number == 2)
        key = await session.scalar(query)
    assert key
    resources.storage.delete(key)
    await ask(scientist, SETOSA)
    (beside,) = (await report(scientist, resources))["against"]
    assert (beside["requests"], beside["failed"]) == (0, 1)


async def test_what_another_process_begins_is_followed_here(
    scientist: httpx2.AsyncClient, resources: Resources, database: Database
) -> None:
    await ask(scientist, SETOSA)
    await mirror(resources).idle()  # It knows now that no shadow runs.

    async def begin(session: Any) -> None:
        version = await session.scalar(select(ModelVersion).where(ModelVersion.number == 2))
        session.add(
            Shadow(model_id=version.model_id, model_version_id=version.id, share=1.0,
                   created_at=utc_now())
        )  # fmt: skip
        broadcast.publish(session, f"{mirroring.TOPIC}flowers", {"model": "flowers"})

    await database.write(begin)

    async def heard_of() -> bool:
        await ask(scientist, SETOSA)
        return bool((await report(scientist, resources))["against"])

    await until(heard_of)


async def test_numbers_are_compared_by_how_far_they_are_apart(
    sign_in: SignIn, resources: Resources
) -> None:
    owner = await sign_in(Role.data_scientist)
    for _ in range(2):
        await store_line(resources, owner)
    await promote(owner, name="line")
    answer = await owner.post(f"{API}/models/line/shadow", json={"version": 2})
    assert answer.status_code == 200, answer.text
    made = await ask(owner, [1.0], [3.0], model="line")
    await mirror(resources).idle()
    await tell(owner, made["prediction_id"], outcomes=[one + 1 for one in made["predictions"]])
    (beside,) = (await read(owner, "models/line/shadow"))["against"]
    assert (beside["mean_absolute_difference"], beside["largest_difference"]) == (0.0, 0.0)
    assert beside["agreement"] is None
    assert beside["challenger_quality"]["metrics"]["mae"] == pytest.approx(1.0)


async def test_what_a_challenger_said_goes_with_the_prediction(
    scientist: httpx2.AsyncClient, resources: Resources, database: Database
) -> None:
    await start(scientist)
    await ask(scientist, SETOSA)
    before = await report(scientist, resources)
    await database.write(lambda session: session.execute(delete(Prediction)))
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(ShadowResult)) == 0
    assert await report(scientist, resources) == before


async def test_only_owners_and_admins_change_a_shadow_and_the_team_reads_it(
    scientist: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    other, viewer = await sign_in(Role.data_scientist), await sign_in(Role.viewer)
    await start(scientist)
    for person, status in ((client, 401), (viewer, 403), (other, 403)):
        assert (await person.post(SHADOW, json={"version": 2})).status_code == status
        assert (await person.delete(SHADOW)).status_code == status
    assert (await client.get(SHADOW)).status_code == 401
    assert (await viewer.get(SHADOW)).status_code == 200
    assert (await (await sign_in(Role.admin)).delete(SHADOW)).status_code == 200
