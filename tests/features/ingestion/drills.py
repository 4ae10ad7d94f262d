"""A source of each kind with the same items, and what became of them: for tests of drills."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import update

from astralytiq.core.clock import DatabaseNow
from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from tests.features.ingestion.servers import Answer, Asked, Reply

Item = dict[str, Any]

KEY = "for-tests-only"
KEY_NAME = "ITEMS_TOKEN"
PAGE = 4
FIELDS: dict[str, dict[str, Any]] = {
    "api": {
        "pagination": {"style": "page", "param": "p"},
        "auth": {"type": "header", "name": "X-Key", "secret": f"env:{KEY_NAME}"},
        "primary_key": "id",
        "mapping": {"title": "name"},
        "batch_size": 3,
    },
    "csv": {"primary_key": "id", "mapping": {"title": "name"}, "batch_size": 3},
    "rss": {"batch_size": 4},
}
PATHS = {"api": "/items", "rss": "/feed", "csv": "/items.csv"}


def items(count: int) -> list[Item]:
    return [{"id": at, "name": f"Item {at}"} for at in range(1, count + 1)]


def titles(of: Sequence[Item]) -> dict[str, str]:
    return {str(one["id"]): one["name"] for one in of}


def answering(of: Sequence[Item]) -> Answer:
    """Pages to those who have the key, a feed, and a file."""

    def answer(asked: Asked) -> Reply:
        if asked.path == PATHS["rss"]:
            return Reply(feed_of(of))
        if asked.path == PATHS["csv"]:
            return Reply(csv_of(of).encode())
        if asked.headers.get("x-key") != KEY:
            return Reply(status=401)
        first = (int(asked.params["p"]) - 1) * PAGE
        return Reply(of[first : first + PAGE])

    return answer


def csv_of(of: Sequence[Item]) -> str:
    return "id,name\n" + "".join(f"{one['id']},{one['name']}\n" for one in of)


def feed_of(of: Sequence[Item]) -> bytes:
    entries = "".join(
        f"<item><guid>{one['id']}</guid><title>{one['name']}</title></item>" for one in of
    )
    return f'<rss version="2.0"><channel><title>t</title>{entries}</channel></rss>'.encode()


def write_files(folder: Path, of: Sequence[Item], rows: int = 7) -> None:
    folder.mkdir(exist_ok=True)
    for at in range(0, len(of), rows):
        (folder / f"{at:03}.csv").write_text(csv_of(of[at : at + rows]))


def spec(name: str, kind: str, url: str = "", path: str = "items/*.csv") -> dict[str, Any]:
    place = {"url": url + PATHS[kind]} if url else {"path": path}
    return {"name": name, "kind": kind, **FIELDS[kind], **place}


async def add(client: httpx2.AsyncClient, source: dict[str, Any]) -> None:
    created = await client.post("/api/v1/sources", json=source)
    assert created.status_code == 201, created.text


async def begun(client: httpx2.AsyncClient, name: str, *faults: str) -> dict[str, Any]:
    started = await client.post(f"/api/v1/sources/{name}/run", json={"inject": faults})
    assert started.status_code == 202, started.text
    run: dict[str, Any] = started.json()
    return run


async def seen(client: httpx2.AsyncClient, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/api/v1/etl/runs/{run_id}")).json()
    return found


async def stored(client: httpx2.AsyncClient, name: str) -> dict[str, str]:
    """The records of a source, each once: their titles by their ids."""
    page = (await client.get("/data", params={"limit": 100, "source": name})).json()
    found = {record["source_id"]: record["title"] for record in page["data"]}
    assert len(found) == len(page["data"]) == page["total_count"]
    return found


async def told(client: httpx2.AsyncClient, run: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    url = f"/api/v1/etl/runs/{run['run_id']}/events"
    answer = await client.get(url, headers={"Accept": "application/json"})
    return [event for event in answer.json() if event["kind"] == kind]


async def injected(client: httpx2.AsyncClient, run: dict[str, Any]) -> list[str]:
    return [event["details"]["fault"] for event in await told(client, run, "injected")]


async def hurry(resources: Resources) -> None:
    """Nobody waits for the time at which a job is tried again."""
    due = update(Job).values(run_at=DatabaseNow())
    await resources.database.write(lambda session: session.execute(due))
