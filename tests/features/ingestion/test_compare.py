"""Two runs of a source beside each other; runs that are out of the ordinary."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession
from typer.testing import CliRunner

from astralytiq.client import Client
from astralytiq.core.db import new_id, utc_now
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.ingestion.cli import etl
from astralytiq.features.ingestion.models import Run, RunKind, RunStatus
from astralytiq.terminal import Connection
from tests.conftest import SignIn
from tests.factories import make_client
from tests.features.ingestion.conftest import Ingest
from tests.features.ingestion.test_apply import ToApp
from tests.features.ingestion.test_csv_runs import RUNS, SHOP

pytestmark = pytest.mark.anyio

Command = Callable[..., Awaitable[tuple[str, str]]]
ANOMALIES = "/api/v1/etl/anomalies"


def write(path: Path, *rows: str, header: str = "id,title,color,price") -> None:
    path.write_text("\n".join((header, *rows)) + "\n")


async def compared(
    client: httpx2.AsyncClient, first: dict[str, Any], second: dict[str, Any]
) -> dict[str, Any]:
    answer = await client.get(f"{RUNS}/{first['run_id']}/compare/{second['run_id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_two_runs_beside_each_other(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write(inbox / "shop.csv", "1,a,red,2", "2,b,red,4", "3,c,blue,", "4,d,blue,6")
    first = await ingest("shop", batch_size=3, **SHOP)
    rows = ("1,a,red,2.5,x", "2,b,,x,y", ",no key,red,3,z")
    write(inbox / "shop.csv", *rows, header="id,title,color,price,note")
    second = await ingest("shop")
    found = await compared(scientist, first, second)
    assert found["source"] == "shop"
    assert [found[side]["sampled"] for side in ("before", "after")] == [4, 3]
    assert found["counts"]["records_processed"] == {
        "before": 4, "after": 3, "change": -1, "ratio": 0.75
    }  # fmt: skip
    assert found["rates"]["failed_ratio"]["after"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["duration_ms"]["before"] > 0
    assert found["fields"] == {
        "added": ["note"],
        "removed": [],
        "types_changed": {"price": {"before": ["integer"], "after": ["integer", "number", "text"]}},
    }
    assert found["null_ratios"]["price"]["before"] == 0.25
    assert found["null_ratios"]["color"]["after"] == pytest.approx(1 / 3, abs=1e-6)
    color = found["distributions"]["color"]
    assert color["distance"] == 0.5
    assert color["values"]["blue"] == {"before": 0.5, "after": 0, "change": -0.5, "ratio": 0}
    price = found["distributions"]["price"]["numbers"]
    assert (price["mean"]["before"], price["mean"]["after"]) == (4, 2.75)


async def test_values_of_records_go_with_them(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write(inbox / "shop.csv", "1,a,red,2")
    run = await ingest("shop", **SHOP)
    await scientist.delete("/api/v1/sources/shop", params={"records": "delete"})
    found = await compared(scientist, run, run)
    assert found["before"]["sampled"] == 0
    assert found["distributions"] == {}


async def test_runs_of_two_sources_are_not_compared(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write(inbox / "shop.csv", "1,a,red,2")
    one, other = await ingest("shop", **SHOP), await ingest("other", **SHOP)
    refused = await scientist.get(f"{RUNS}/{one['run_id']}/compare/{other['run_id']}")
    assert refused.status_code == 422
    assert "compare runs of one source" in refused.json()["detail"]
    assert (await scientist.get(f"{RUNS}/absent/compare/absent")).status_code == 404


async def test_18_who_may_not_read_records_compares_no_runs(
    inbox: Path, ingest: Ingest, app: FastAPI, sign_in: SignIn
) -> None:
    write(inbox / "shop.csv", "1,a,red,2")
    run = (await ingest("shop", **SHOP))["run_id"]
    owner = await sign_in(Role.analyst)
    made = await owner.post("/api/v1/api-keys", json={"name": "k", "scopes": ["runs:read"]})
    async with make_client(app) as device:
        device.headers["X-API-Key"] = made.json()["key"]
        assert (await device.get(f"{RUNS}/{run}/compare/{run}")).status_code == 403
        assert "red" not in (await device.get(f"{RUNS}/{run}")).text
        assert (await device.get(ANOMALIES)).status_code == 200


@pytest.fixture
def command(app: FastAPI, scientist: httpx2.AsyncClient) -> Command:
    """Runs `astralytiq etl …`; answers what it printed, and what it said beside that."""
    token = scientist.headers["authorization"].removeprefix("Bearer ")

    async def run(*arguments: str) -> tuple[str, str]:
        transport = ToApp(app)
        connection = Connection(
            lambda: Client("http://astralytiq.test", token, transport=transport)
        )
        done = await asyncio.to_thread(CliRunner().invoke, etl, [*arguments], obj=connection)
        assert done.exit_code == 0, done.output
        return done.stdout, done.stderr

    return run


async def test_by_command_runs_are_followed_and_compared(
    inbox: Path, ingest: Ingest, command: Command
) -> None:
    write(inbox / "shop.csv", "1,a,red,2", "2,b,red,4")
    first = await ingest("shop", **SHOP)
    write(inbox / "shop.csv", "1,a,red", header="id,title,color")
    second = await ingest("shop")
    shown, told = await command("show", first["run_id"], "--follow", "--json")
    assert json.loads(shown)["status"] == "success"
    assert [line.split("  ")[1] for line in told.splitlines()] == [
        "Started.", "Ended: success, 2 records."
    ]  # fmt: skip
    table, _ = await command("compare", first["run_id"], second["run_id"])
    assert "fields removed: price" in table
    (processed,) = [line for line in table.splitlines() if line.startswith("records_processed")]
    assert processed.split()[1:] == ["2", "1", "-1"]
    whole, _ = await command("compare", first["run_id"], second["run_id"], "--json")
    assert json.loads(whole)["counts"]["records_processed"]["ratio"] == 0.5


# Out of the ordinary -----------------------------------------------------------------------------


async def earlier(resources: Resources, count: int, records: int = 40, **fields: Any) -> None:
    """Runs as the history has them."""
    began = utc_now() - timedelta(days=1)
    color = {"present": records, "null": 0, "types": {}, "values": {}}
    values: dict[str, Any] = {
        "source": "shop", "status": RunStatus.success, "start_time": began,
        "end_time": began + timedelta(seconds=1), "records_processed": records,
        "profile": {"sampled": records, "fields": {"color": color}},
    }  # fmt: skip

    async def write(session: AsyncSession) -> None:
        session.add_all(Run(run_id=new_id(), **(values | fields)) for _ in range(count))

    await resources.database.write(write)


async def listed(client: httpx2.AsyncClient, **params: Any) -> dict[str, dict[str, Any]]:
    found = (await client.get(ANOMALIES, params=params)).json()
    return {f"{one['run_id']} {one['measure']}": one for one in found}


async def test_a_run_that_differs_from_its_history_is_an_anomaly(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await earlier(resources, 5)
    write(inbox / "shop.csv", *(f"{at},a,,1" for at in range(9)), ",no key,red,1")
    first = await ingest("shop", **SHOP)
    second = await ingest("shop")
    found = await listed(scientist, source="shop")
    of_first = [name.split()[1] for name in found if name.startswith(first["run_id"])]
    assert sorted(of_first) == ["failed_ratio", "null_ratio:color", "records_processed"]
    one = found[f"{first['run_id']} records_processed"]
    assert (one["value"], one["expected_low"], one["expected_high"]) == (10, 33, 47)
    assert (one["score"], one["since"]) == (-15, first["start_time"])
    again = found[f"{second['run_id']} records_processed"]
    assert (again["since"], again["value"]) == (first["start_time"], 10)
    assert await listed(scientist, source="other") == {}
    events = await scientist.get(
        f"{RUNS}/{first['run_id']}/events", headers={"Accept": "application/json"}
    )
    told = [event["message"] for event in events.json() if event["kind"] == "anomaly"]
    assert "records_processed is 10 where 33 to 47 was to be expected (score -15.0)." in told


async def test_too_short_a_history_and_other_kinds_of_runs_judge_nothing(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await earlier(resources, 4)
    for fields in (
        {"status": RunStatus.failed},
        {"kind": RunKind.replay},
        {"full_refresh": True},
        {"source": "other"},
        {"profile": {"not_modified": True}},
    ):
        await earlier(resources, 5, **fields)
    write(inbox / "shop.csv", "1,a,red,1")
    await ingest("shop", **SHOP)
    assert await listed(scientist) == {}


async def test_an_ordinary_run_is_none(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await earlier(resources, 6)
    write(inbox / "shop.csv", *(f"{at},a,red,1" for at in range(42)))
    await ingest("shop", **SHOP)
    assert await listed(scientist) == {}
