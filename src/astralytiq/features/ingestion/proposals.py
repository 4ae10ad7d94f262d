"""What the doors for proposed sources take in and give out."""

from typing import Annotated, Any, Literal

from pydantic import Field

from astralytiq.core.schemas import Answer, Body

from .schemas import SourceSpec


class SourceList(Body):
    """What `sources.yaml` holds: of each source all that is not its kind's default."""

    sources: Annotated[list[SourceSpec], Field(min_length=1, max_length=1000)]


class FieldChange(Answer):
    field: str
    before: Any
    after: Any


class PlannedSource(Answer):
    name: str
    action: Literal["create", "change", "unchanged", "delete", "left"]
    fields: Annotated[list[FieldChange], Field(description="what a change changes")]


class PlanRead(Answer):
    applied: bool
    version: Annotated[int, Field(description="send it as If-Match to apply this plan alone")]
    sources: list[PlannedSource]


class PreviewedPayload(Answer):
    raw: Annotated[Any, Field(description="null if it is nested too deeply to be shown")]
    record: Annotated[dict[str, Any] | None, Field(description="what a run would store")]
    reason: Annotated[str | None, Field(description="why it would store nothing")]


class PreviewRead(Answer):
    source: str
    records: list[PreviewedPayload]
