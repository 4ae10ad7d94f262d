"""Base classes of what the doors take in and give out."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

# JSON carries whole numbers exactly below 2**53 (RFC 8259), and no database over 64 bits at all.
Id = Annotated[int, Field(ge=1, lt=1 << 53)]
DATE = re.compile(r"\d{4}-\d\d-\d\d")


def written_out(moment: Any) -> Any:
    """pydantic also reads a number as seconds since 1970, which RFC 3339 does not know."""
    if isinstance(moment, datetime) or (isinstance(moment, str) and DATE.match(moment.strip())):
        return moment
    raise ValueError("write a time as RFC 3339 has it: 2026-01-31T12:00:00Z")


def in_utc(moment: datetime) -> datetime:
    """Naive input is UTC."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("a year from 1 to 9999, also in UTC") from None


Moment = Annotated[
    datetime,
    BeforeValidator(written_out),
    AfterValidator(in_utc),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "format": "date"},
            ]
        }
    ),
]


class Body(BaseModel):
    """A request body: an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Answer(BaseModel):
    """A response, read from a table row or a plain object."""

    model_config = ConfigDict(from_attributes=True)
