"""Makes what tests of data sets start from: records, uploads, frozen sets."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from astralytiq.core.resources import Resources
from astralytiq.features.ingestion.models import DataRecord
from astralytiq.features.ingestion.records import count
from tests.conftest import RunJobs

FLOWERS = [
    {"length": round(1 + number % 7 * 0.5, 1), "width": number % 5, "species": species}
    for number in range(60)
    for species in [("setosa", "virginica")[number % 7 > 3]]
]
CSV = "length,width,species\n" + "".join(
    f"{flower['length']},{flower['width']},{flower['species']}\n" for flower in FLOWERS
)


async def store_records(
    resources: Resources,
    source: str = "flowers",
    rows: Sequence[Mapping[str, Any]] = FLOWERS,
    *,
    run_id: str = "run-1",
    first: int = 0,
    **fields: Any,
) -> None:
    """As a run of `source` would: one record for each of `rows`, which become its metadata."""
    records = [
        DataRecord(
            source=source,
            source_id=str(first + place),
            entity_id=str(first + place),
            extra=dict(row),
            content_hash=str(first + place),
            run_id=run_id,
            raw_id=1,
            raw_position=place,
            **fields,
        )
        for place, row in enumerate(rows)
    ]

    async def write(session: Any) -> None:
        session.add_all(records)
        await count(session, source, len(records))

    await resources.database.write(write)


async def freeze(
    client: httpx2.AsyncClient, run_jobs: RunJobs, name: str, source: str = "flowers"
) -> int:
    body = {"name": name, "from_records": {"source": source}}
    asked = await client.post("/api/v1/datasets", json=body)
    assert asked.status_code == 201, asked.text
    await run_jobs()
    return int(asked.json()["id"])


async def upload(
    client: httpx2.AsyncClient,
    content: str | bytes = CSV,
    filename: str = "flowers.csv",
    path: str = "upload",
) -> httpx2.Response:
    sent = content.encode() if isinstance(content, str) else content
    files = {"file": (filename, sent, "text/csv")}
    return await client.post(f"/api/v1/datasets/{path}", files=files)
