"""What the doors to records and their payloads give out."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from astralytiq.core.schemas import Answer


class RecordRead(Answer):
    id: int
    source: str
    source_id: str
    title: str | None
    description: str | None
    content: str | None
    author: str | None
    published_at: datetime | None
    url: str | None
    category: str | None
    # On the table it is named `extra`: SQLAlchemy keeps `metadata` for itself.
    metadata: dict[str, Any] = Field(validation_alias="extra")
    entity_id: str
    content_hash: str
    run_id: str
    created_at: datetime
    updated_at: datetime


class DataPage(Answer):
    request_id: str | None
    total_count: int
    total_is_capped: Annotated[bool, Field(description="there are more than `total_count`")]
    index_pending: Annotated[
        bool, Field(description="some records wait to be indexed: `q` does not find all words yet")
    ]
    limit: int
    offset: int
    api_latency_ms: float
    data: list[RecordRead]
    next_cursor: Annotated[str | None, Field(description="send it as 'cursor'; null at the end")]


class RawRead(Answer):
    record_id: int
    source: str
    run_id: str
    batch: int
    position: Annotated[int, Field(description="within the batch, from 0")]
    fetched_at: datetime
    payload: Any
