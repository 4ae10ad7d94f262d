"""Records are found by their words and by what they are, however they came and changed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq import migrations
from astralytiq.core import executor
from astralytiq.core.db import Database
from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from astralytiq.engines.etl.postings import SIZE
from astralytiq.features.ingestion import indexing, records, searching
from astralytiq.features.ingestion.models import DataRecord, RecordNote, RecordWord
from astralytiq.features.ingestion.searching import Filters, has_words
from tests.conftest import RunJobs
from tests.databases import Databases
from tests.features.ingestion.conftest import Ingest

pytestmark = pytest.mark.anyio

Index = Callable[[], Awaitable[None]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS: dict[str, Any] = dict.fromkeys(("title", "description", "content", "author", "url"))
TABLE: Any = DataRecord.__table__


def shop(name: str = "shop") -> dict[str, Any]:
    return {"kind": "csv", "path": f"{name}.csv", "primary_key": "id"}


def row(source: str, key: str, **fields: Any) -> dict[str, Any]:
    content = TEXTS | {"category": None, "published_at": None, "metadata": {}} | fields
    origin = {"run_id": "1", "raw_id": 1, "raw_position": 0, "entity_id": f"{source} {key}"}
    times = {"created_at": NOON, "updated_at": NOON}
    return (
        {"content_hash": repr(fields), "source": source, "source_id": key}
        | origin
        | times
        | content
    )


async def put(database: Database, *rows: dict[str, Any]) -> None:
    """Rows of one source, as a batch stores them; nobody indexes them yet."""
    source = rows[0]["source"]
    await database.write(lambda session: records.store_rows(session, source, rows, NOON))


async def go_on_at(database: Database, record_id: int) -> None:
    """Let the next record have an id beyond this one, as if there were as many before it."""

    async def write(session: AsyncSession) -> None:
        gone = row("spacer", str(record_id)) | {"id": record_id, "deleted_at": NOON}
        await session.execute(insert(TABLE).values(gone))
        if not database.is_sqlite:
            sequence = "pg_get_serial_sequence('data_records', 'id')"
            await session.execute(text(f"SELECT setval({sequence}, {record_id})"))

    await database.write(write)


@pytest.fixture
def index(database: Database, run_jobs: RunJobs) -> Index:
    async def index() -> None:
        await database.write(indexing.enqueue)
        await run_jobs()

    return index


async def asked(viewer: httpx2.AsyncClient, **params: Any) -> dict[str, Any]:
    answer = await viewer.get("/data", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def found(viewer: httpx2.AsyncClient, **params: Any) -> list[str]:
    """The keys of all that is found, a page at a time; the count must say how many they are."""
    keys: list[str] = []
    page = await asked(viewer, limit=2, **params)
    total = page["total_count"]
    while True:
        keys += [record["source_id"] for record in page["data"]]
        if page["next_cursor"] is None:
            assert len(keys) == total
            return keys
        page = await asked(viewer, limit=2, cursor=page["next_cursor"], **params)


# Words ------------------------------------------------------------------------------------------


@pytest.fixture
async def shelves(inbox: Path, ingest: Ingest) -> None:
    (inbox / "shop.csv").write_text(
        "id,title,description,content,author,category,color\n"
        "1,Coffee machine,makes espresso,two cups,Ada,kitchen,crimson\n"
        "2,Coffee mill,grinds beans,,Ben,kitchen,blue\n"
        "3,Tea-pot,for tea,holds coffee too,Ada,Kitchen ware,crimson\n"
        "4,Straße 日本語,snake_case words,,,,\n"
    )
    await ingest("shop", **shop())


@pytest.mark.usefixtures("shelves")
@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("coffee", "123"), ("COF", "123"), ("coffee m", "12"), ("m coff", "12"), ("mach", "1"),
        ("achine", ""), ("espr", "1"), ("two", "1"), ("ada", "13"), ("kit", "123"), ("pot", "3"),
        ("strasse", "4"), ("日本", "4"), ("case", "4"), ("tea ada coffee", "3"), ("crimson", ""),
        ("coffee nothing", ""), ("", "1234"), ("  ", "1234"), ("%", ""), ('"', ""), ("*", ""),
    ],
)  # fmt: skip
async def test_all_words_are_there_and_begin_so(
    viewer: httpx2.AsyncClient, q: str, expected: str
) -> None:
    assert await found(viewer, q=q) == list(expected)


@pytest.mark.usefixtures("shelves")
@pytest.mark.parametrize(
    "q", ["coffee' OR 1=1 --", 'coffee" OR "tea', "NEAR(coffee)", "coffee & !tea | :*", "\\", "a:*",
          "=source 1", "coffee\ufffd\U0010ffff", "\u0130"],
)  # fmt: skip
async def test_no_text_is_a_mistake(viewer: httpx2.AsyncClient, q: str) -> None:
    assert (await asked(viewer, q=q))["total_count"] <= 3


async def test_too_much_is_refused(viewer: httpx2.AsyncClient) -> None:
    for q in ("x" * 201, "a b c d e f g h i j k"):
        assert (await viewer.get("/data", params={"q": q})).status_code == 422


@pytest.mark.usefixtures("shelves")
async def test_words_and_filters_narrow_each_other(viewer: httpx2.AsyncClient) -> None:
    assert await found(viewer, q="coffee", category="kitchen") == ["1", "2"]
    assert await found(viewer, q="coffee", category="Kitchen ware") == ["3"]
    assert await found(viewer, q="coffee", source="shop") == ["1", "2", "3"]
    assert await found(viewer, q="coffee", source="other") == []
    entity = (await asked(viewer, q="pot"))["data"][0]["entity_id"]
    assert await found(viewer, q="coffee", entity_id=entity) == ["3"]
    assert await found(viewer, q="mill", entity_id=entity) == []
    assert await found(viewer, entity_id="not a hash") == []


async def test_words_that_no_longer_stand_there_are_not_found(
    inbox: Path,
    ingest: Ingest,
    viewer: httpx2.AsyncClient,
    scientist: httpx2.AsyncClient,
    run_jobs: RunJobs,
) -> None:
    async def load(rows: str, **how: Any) -> None:
        (inbox / "shop.csv").write_text("id,title\n" + rows)
        await ingest("shop", **how)

    await load("1,red apple\n2,red pear\n", **shop())
    await load("1,green apple\n2,red pear\n")
    assert (await found(viewer, q="red"), await found(viewer, q="green")) == (["2"], ["1"])
    await load("1,green apple\n", full_refresh=True)
    assert await found(viewer, q="red") == []
    await load("1,green apple\n2,red pear\n")
    assert await found(viewer, q="red") == ["2"]
    await scientist.patch("/api/v1/sources/shop", json={"mapping": {"title": "id"}})
    await scientist.post("/api/v1/sources/shop/replay")
    await run_jobs()
    assert await found(viewer, q="apple") == []
    await scientist.delete("/api/v1/sources/shop?records=delete")
    await run_jobs()
    assert await found(viewer, q="1") == []


async def test_what_a_failed_run_stored_is_found(
    inbox: Path, ingest: Ingest, viewer: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_text("id,title\n1,red\n2,red\n3\n4\n")
    run = await ingest("shop", **shop(), batch_size=2, max_reject_ratio=0.1)
    assert run["status"] == "failed"
    assert await found(viewer, q="red") == ["1", "2"]


# While the index is behind ------------------------------------------------------------------------


async def test_only_words_wait_for_the_index(
    database: Database, viewer: httpx2.AsyncClient, index: Index
) -> None:
    await put(database, row("shop", "1", title="red", category="a"))
    await index()
    await put(
        database, row("shop", "1", title="green", category="b"), row("shop", "2", title="red")
    )
    for q in ("red", "green"):
        page = await asked(viewer, q=q)
        assert (page["data"], page["index_pending"]) == ([], True)
    assert await found(viewer, category="a") == []
    assert await found(viewer, category="b") == ["1"]
    assert await found(viewer, entity_id="shop 2") == ["2"]
    assert not (await asked(viewer, category="b"))["index_pending"]
    await index()
    assert (await found(viewer, q="red"), await found(viewer, q="green")) == (["2"], ["1"])
    assert not (await asked(viewer, q="red"))["index_pending"]


async def test_notes_are_worked_off_once_in_jobs_of_few_segments(
    database: Database, run_jobs: RunJobs, viewer: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(indexing, "PART", 2)
    for number in range(5):
        await put(database, row("shop", str(number), title="red"))
        await go_on_at(database, SIZE * (number + 1))
    for _ in range(2):
        await database.write(indexing.enqueue)
    await run_jobs()
    async with database.reading() as session:
        results = await session.scalars(select(Job.result).where(Job.name == indexing.JOB))
        assert sorted(one["segments"] for one in results if one) == [1, 2, 2]
        assert await session.scalar(select(func.count(RecordNote.id))) == 0
    assert await found(viewer, q="red") == list("01234")
    await database.write(indexing.enqueue)  # Nothing to do, no job.
    async with database.reading() as session:
        assert await session.scalar(select(func.count(Job.id))) == 3


async def test_entries_that_are_overtaken_are_not_stored(
    database: Database, resources: Resources, viewer: httpx2.AsyncClient
) -> None:
    class Slow:
        """As much of a job's work as entries need."""

        def __init__(self) -> None:
            self.resources = resources

    await put(database, row("shop", "1", title="red"))
    slow = await indexing.entries_of(Slow(), 0)  # type: ignore[arg-type]
    await put(database, row("shop", "1", title="green"))
    quick = await indexing.entries_of(Slow(), 0)  # type: ignore[arg-type]
    for entries in (quick, slow):
        await database.write(partial(indexing.put, entries))
    assert (await found(viewer, q="green"), await found(viewer, q="red")) == (["1"], [])


async def test_segments_without_records_have_no_entries(database: Database, index: Index) -> None:
    await put(database, row("shop", "1", title="red"))
    await index()
    await database.write(lambda s: records.mark_vanished(s, "shop", "2"))
    await index()
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(RecordWord)) == 0


async def test_records_from_before_the_index_are_indexed_by_the_first_worker(
    databases: Databases, resources: Resources
) -> None:
    url = await databases.fresh(empty=True)
    await asyncio.to_thread(migrations.upgrade, url, "0006")
    database = Database(url)
    values = row("shop", "1", title="red") | {"id": 3 * SIZE}
    await database.write(lambda s: s.execute(insert(TABLE).values(values)))
    await asyncio.to_thread(migrations.upgrade, url)
    old = Resources(resources.settings, database, resources.storage)
    await executor.run_until_idle(old, "tests")
    async with database.reading() as session:
        page = await searching.page_of_records(session, Filters(q="red"), 10, 0, None)
    assert [record.source_id for record in page.records] == ["1"]
    await database.close()
    await databases.drop(url)


# Pages ------------------------------------------------------------------------------------------


async def test_counts_are_capped_and_say_so(
    database: Database, viewer: httpx2.AsyncClient, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST_COUNTED", 3)
    for first in range(0, 6, 2):
        await put(database, *(row("shop", str(n), title="red") for n in (first, first + 1)))
        await go_on_at(database, SIZE * (first + 1))
    await index()
    page = await asked(viewer, q="red", limit=2)
    assert (page["total_count"], page["total_is_capped"]) == (3, True)
    keys = [record["source_id"] for record in page["data"]]
    while page["next_cursor"]:
        page = await asked(viewer, q="red", limit=2, cursor=page["next_cursor"])
        keys += [record["source_id"] for record in page["data"]]
    assert keys == list("012345")
    by_offset = [await asked(viewer, q="red", limit=2, offset=at) for at in range(7)]
    assert [[one["source_id"] for one in page["data"]] for page in by_offset] == [
        list("012345"[at : at + 2]) for at in range(7)
    ]
    monkeypatch.setattr(searching, "MOST_COUNTED", 6)
    page = await asked(viewer, q="red")
    assert (page["total_count"], page["total_is_capped"]) == (6, False)


SOURCES, CATEGORIES = ("a", "b", "c"), (None, "red", "blue moon")
WORDS = ("red", "re", "reed", "blue", "black", "moon", "mood", "x1", "x12")
HOURS = [NOON + timedelta(hours=step) for step in range(0, 72, 5)]


def some_rows(chance: random.Random, source: str, run_id: str) -> list[dict[str, Any]]:
    return [
        row(source, str(key), title=" ".join(chance.choices(WORDS, k=3)), run_id=run_id,
            category=chance.choice(CATEGORIES), published_at=chance.choice([None, *HOURS]),
            entity_id=f"thing {chance.randrange(9)}", updated_at=chance.choice(HOURS))
        for key in chance.sample(range(20), 6)
    ]  # fmt: skip


def some_filters(chance: random.Random) -> Filters:
    def perhaps(values: Any) -> Any:
        return chance.choice(values) if chance.random() < 0.3 else None

    return Filters(
        perhaps(SOURCES), perhaps(CATEGORIES), perhaps([f"thing {n}" for n in range(9)]),
        perhaps(HOURS), perhaps([*HOURS, NOON.replace(day=2, hour=0)]), perhaps(HOURS),
        " ".join(chance.choices([word[:2] for word in WORDS], k=2)) if chance.random() < 0.6
        else None,
    )  # fmt: skip


def fits(filters: Filters, record: DataRecord) -> bool:
    published = record.published_at
    return (
        record.deleted_at is None
        and filters.source in (None, record.source)
        and filters.category in (None, record.category)
        and filters.entity_id in (None, record.entity_id)
        and (filters.updated_since is None or record.updated_at >= filters.updated_since)
        and (filters.published_after is None
             or (published is not None and published >= filters.published_after))
        and (filters.published_before is None
             or (published is not None and published < filters.published_before))
        and (filters.q is None or has_words(record, filters.q.split()))
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_found_is_what_a_recount_finds(
    database: Database, index: Index, seed: int
) -> None:
    """Batches, vanishing, coming back and deletion, in any order, over several segments."""
    chance = random.Random(seed)
    for step in range(12):
        source, run_id = chance.choice(SOURCES), str(step)
        match chance.choice(("load", "load", "load", "refresh", "delete")):
            case "delete":
                await database.write(partial(forget, source))
            case "refresh":
                await put(database, *some_rows(chance, source, run_id))
                await vanish(database, source, run_id)
            case _:
                await put(database, *some_rows(chance, source, run_id))
        if step % 4 == 1:
            await go_on_at(database, SIZE * step - 3)
        is_indexed = chance.random() < 0.6
        if is_indexed:
            await index()
        await compare(database, chance, is_indexed)


async def vanish(database: Database, source: str, run_id: str) -> None:
    await database.write(lambda s: records.mark_vanished(s, source, run_id))


async def forget(source: str, session: AsyncSession) -> None:
    await indexing.note_all(session, DataRecord.source == source)
    await session.execute(delete(DataRecord).where(DataRecord.source == source))


async def compare(database: Database, chance: random.Random, is_indexed: bool) -> None:
    async with database.reading() as session:
        stored = (await session.scalars(select(DataRecord).order_by(DataRecord.id))).all()
        for _ in range(10):
            filters = some_filters(chance)
            if filters.counted and not filters.q:  # Their counters are no business of the index.
                continue
            page = await searching.page_of_records(session, filters, 100, 0, None)
            found = [one.id for one in page.records]
            right = [one.id for one in stored if fits(filters, one)]
            if is_indexed or filters.q is None:
                assert (found, page.total) == (right, len(right)), filters
                after = stored[len(stored) // 2].id if stored else 0
                rest = await searching.page_of_records(session, filters, 100, 0, after)
                assert [one.id for one in rest.records] == [one for one in right if one > after]
            else:  # Some may be missing, but nothing wrong is there.
                assert set(found) <= set(right)
                assert page.index_pending or found == right
