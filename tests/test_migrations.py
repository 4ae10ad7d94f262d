"""Migrations: up, down and up again on both databases, equal to the tables in the code."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from astralytiq import migrations
from astralytiq.core.db import Base, Database, utc_now
from astralytiq.core.jobs import Job
from astralytiq.core.lineage import LineageEdge
from astralytiq.core.security import Role
from astralytiq.features.accounts.models import User
from astralytiq.features.datasets.models import Dataset, DatasetType, DatasetVersion
from astralytiq.features.ingestion.models import DataRecord, RecordNote, Run, RunKind, RunStatus
from astralytiq.features.registry.models import Model, ModelVersion
from tests.databases import Databases

pytestmark = pytest.mark.anyio

TASKS_OF_0004 = (
    "INSERT INTO users (id, email, username, role, password_hash, is_active, updated_at, version,"
    " created_at) VALUES (1, 'a@b.c', 'ada', 'viewer', 'x', TRUE, CURRENT_TIMESTAMP, 1,"
    " CURRENT_TIMESTAMP)",
    "INSERT INTO tasks (id, title, status, priority, tags, owner_id, updated_at, version,"
    " created_at) SELECT n, 'x', 'pending', 'low', '[]', 1, CURRENT_TIMESTAMP, 1,"
    " CURRENT_TIMESTAMP FROM (SELECT 1 AS n UNION SELECT 2) AS numbers",
)
WORD_OF_0004 = (
    "INSERT INTO task_words (word, task_id, owner_id, status, priority)"
    " VALUES (:word, :task_id, 1, 'pending', 'low')"
)


@pytest.fixture
async def empty_url(databases: Databases) -> AsyncIterator[str]:
    url = await databases.fresh(empty=True)
    yield url
    await databases.drop(url)


async def tables(url: str) -> set[str]:
    database = Database(url)
    async with database.reader.connect() as connection:
        found = set(await connection.run_sync(lambda c: inspect(c).get_table_names()))
    await database.close()
    return found - {"alembic_version"}


def revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(migrations.HERE))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]


async def test_up_down_and_up_again(empty_url: str) -> None:
    ours = set(Base.metadata.tables)
    await asyncio.to_thread(migrations.upgrade, empty_url)
    assert await tables(empty_url) == ours
    await asyncio.to_thread(migrations.check, empty_url)
    await asyncio.to_thread(migrations.downgrade, empty_url, "base")
    assert await tables(empty_url) == set()
    await asyncio.to_thread(migrations.upgrade, empty_url)
    assert await tables(empty_url) == ours


async def test_the_head_is_what_alembic_says() -> None:
    assert migrations.head() == revisions()[0]


async def test_only_a_database_that_is_behind_is_migrated(empty_url: str) -> None:
    database = Database(empty_url)
    assert await migrations.current(database) is None
    assert await migrations.bring_up_to_date(database, empty_url) is True
    assert await migrations.current(database) == migrations.head()
    assert await migrations.bring_up_to_date(database, empty_url) is False
    await database.close()


async def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    """Each in a process of its own: Alembic keeps its state in globals."""
    code = f"from astralytiq import migrations; migrations.upgrade({empty_url!r})"
    children = [await asyncio.create_subprocess_exec(sys.executable, "-c", code) for _ in range(2)]
    assert [await child.wait() for child in children] == [0, 0]
    assert await tables(empty_url) == set(Base.metadata.tables)


async def test_an_sqlite_file_is_copied_before_it_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    url = f"sqlite:///{path}"
    await asyncio.to_thread(migrations.upgrade, url)
    database = Database(url)
    async with database.transaction() as session:
        session.add(User(email="a@b.c", username="ada", role=Role.viewer, password_hash="x"))
        await session.flush()
        await session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    copy = await asyncio.to_thread(migrations.copy_before, path, "0000")
    with sqlite3.connect(copy) as copied:
        assert copied.execute("SELECT username FROM users").fetchall() == [("ada",)]
    async with database.reading() as session:
        assert await session.scalar(select(User.username)) == "ada"
    await database.close()


async def test_going_back_leaves_no_dry_run_behind_and_coming_again_indexes_all_records(
    empty_url: str,
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    database = Database(empty_url)
    record = {"source": "shop", "source_id": "1", "extra": {}, "entity_id": "e", "run_id": "r"}
    async with database.transaction() as session:
        session.add_all([Run(source="shop", dry_run=True), Run(source="other")])
        session.add(DataRecord(**record, content_hash="h", raw_id=1, raw_position=0))
    await asyncio.to_thread(migrations.downgrade, empty_url, "0006")
    async with database.reading() as session:
        assert await session.scalar(text("SELECT max(source) FROM etl_runs")) == "other"
    await asyncio.to_thread(migrations.upgrade, empty_url)
    async with database.reading() as session:
        assert (await session.scalars(select(Run.dry_run))).all() == [False]
        assert (await session.scalars(select(RecordNote.segment))).all() == [0]
        assert (await session.scalars(select(Job.name))).all() == ["ingestion.index"]
    await database.close()


async def test_words_that_are_stored_learn_what_they_share_with_the_one_before(
    empty_url: str,
) -> None:
    words = {
        1: {"house": 0, "red": 0, "repairs": 2, "report": 3, "réd": 1},
        2: {"re": 0, "日本": 0, "日本語": 2, "\U00010428": 0},
    }
    await asyncio.to_thread(migrations.upgrade, empty_url, "0004")
    database = Database(empty_url)
    async with database.transaction() as session:
        for statement in TASKS_OF_0004:
            await session.execute(text(statement))
        for task_id, shared in words.items():
            rows = [{"word": word, "task_id": task_id} for word in shared]
            await session.execute(text(WORD_OF_0004), rows)
    await asyncio.to_thread(migrations.upgrade, empty_url)
    async with database.reading() as session:
        found = await session.execute(text("SELECT task_id, word, shared FROM task_words"))
        assert {tuple(row) for row in found} == {
            (task_id, *entry) for task_id, shared in words.items() for entry in shared.items()
        }
        if database.is_sqlite:  # Made anew, it still is its own index.
            assert await session.scalar(text("SELECT wr FROM pragma_table_list('task_words')"))
    await asyncio.to_thread(migrations.downgrade, empty_url, "0004")
    async with database.reading() as session:
        assert await session.scalar(text("SELECT count(*) FROM task_words")) == 9
    await database.close()


async def test_what_was_there_before_lineage_was_written_has_its_edges(empty_url: str) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    database = Database(empty_url)
    async with database.transaction() as session:
        session.add(User(id=1, email="a@b.c", username="ada", role=Role.admin, password_hash="x"))
        await session.flush()
        session.add_all(
            [
                Run(run_id="r1", source="shop", job_id="j1", batches=2),
                Run(run_id="r2", source="shop", batches=0, status=RunStatus.failed),
                Run(run_id="r3", source="other", batches=1, dry_run=True),
                Run(run_id="r4", source="more", batches=1, kind=RunKind.replay),
                Dataset(id=7, name="d", type=DatasetType.records, owner_id=1),
                Model(id=3, name="flowers", owner_id=1, latest=2),
            ]
        )
        await session.flush()
        origins: list[dict[str, Any]] = [
            {"kind": "records", "source": "shop", "run_ids": ["r1", "r4"]},
            {"kind": "upload", "filename": "a.csv", "sha256": "abc"},
            {"kind": "other"},
        ]
        session.add_all(map(version_of, origins, (1, 2, 3)))
        await session.flush()
        session.add_all([trained(1, None), trained(2, utc_now())])
    await asyncio.to_thread(migrations.downgrade, empty_url, "0010")
    await asyncio.to_thread(migrations.upgrade, empty_url)
    async with database.reading() as session:
        edges = list(await session.scalars(select(LineageEdge)))
    assert {f"{e.from_kind} {e.from_id} {e.to_kind} {e.to_id} {e.made_by}" for e in edges} == {
        "source shop run r1 j1",
        "source shop run r2 None",
        "source more run r4 None",
        "run r1 raw r1 r1",
        "raw r1 records r1 r1",
        "run r1 records r1 r1",
        "run r4 records r4 r4",
        "records r1 dataset_version 7@1 freeze-1",
        "records r4 dataset_version 7@1 freeze-1",
        "upload abc dataset_version 7@2 freeze-2",
        "dataset_version 7@1 training_run t1 t1",
        "dataset_version 7@1 training_run t2 t2",
        "training_run t1 model_version flowers@1 t1",
        "training_run t2 model_version flowers@2 t2",
        "model_version flowers@2 deployment flowers@2 None",
    }
    assert all(edge.facets == {} for edge in edges)
    await database.close()


def version_of(origin: dict[str, Any], number: int) -> DatasetVersion:
    return DatasetVersion(
        id=number, dataset_id=7, number=number, rows=1, columns=1, size_bytes=1, content_hash="h",
        schema=[], storage_key="k", origin=origin, job_id=f"freeze-{number}",
    )  # fmt: skip


def trained(number: int, deployed_at: datetime | None) -> ModelVersion:
    return ModelVersion(
        model_id=3, number=number, algorithm="a", task="t", params={}, metrics={}, evaluation={},
        features=[], target="t", classes=[], dataset_version_id=1, dataset="7@1", seed=1,
        code_version="1", storage_key="k", sha256="s", size_bytes=1, job_id=f"t{number}",
        deployed_at=deployed_at,
    )  # fmt: skip
