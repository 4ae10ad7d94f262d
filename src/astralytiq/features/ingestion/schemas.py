"""What the ingestion doors take in and give out."""

import codecs
import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, model_validator

from astralytiq.core.schemas import Answer, Body
from astralytiq.core.settings import Settings
from astralytiq.engines.etl.paths import fault_in

from .models import RunStatus

# Secrets belong in `auth`, by reference; the rest would break the request or its address check.
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
OUR_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding", "te"})
SECRET_PARAMS = re.compile(r"pass(word|wd)|secret|token$|api_?key|^key$", re.IGNORECASE)
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
PREFIX = "astralytiq_"


def known_encoding(name: str) -> str:
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        raise ValueError("not a text encoding: try utf-8, cp1252 or latin-1") from None


def one_delimiter(delimiter: str) -> str:
    if delimiter in '\r\n"\x00':
        raise ValueError("a delimiter cannot be a quote or a line break")
    return delimiter


def secret_reference(reference: str) -> str:
    """`env:NAME`. A message never repeats what was sent: it may be a secret."""
    found = re.fullmatch(r"env:([A-Za-z_][A-Za-z0-9_]*)", reference)
    if found is None:
        raise ValueError("give a reference, 'env:NAME', never the secret itself")
    if found[1].lower().startswith(PREFIX) or found[1].lower() in Settings.model_fields:
        raise ValueError("this variable is a setting of the platform: use one of its own")
    return reference


def expression(text: str) -> str:
    if fault := fault_in(text):
        raise ValueError(f"not a JMESPath expression: {fault}")
    return text


def web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("not a web address") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError("give a whole address that begins with http:// or https://")
    if parts.username or parts.password:
        raise ValueError("leave user and password out: use auth with a secret reference")
    for name in re.findall(r"(?:^|&)([^=&]+)", parts.query):
        refuse_secret_param(name)
    return url


def plain_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in SECRET_HEADERS:
            raise ValueError(f"{name} holds a secret: use auth with a secret reference")
        if name.lower() in OUR_HEADERS or not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be set")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"{name} must be printable ASCII")
    return headers


def plain_params(params: dict[str, Any]) -> dict[str, Any]:
    for name in params:
        refuse_secret_param(name)
    return params


def refuse_secret_param(name: str) -> None:
    if SECRET_PARAMS.search(name):
        raise ValueError(f"{name} looks like a secret: use auth of type query with a reference")


Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$", max_length=100)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=False)]
Secret = Annotated[str, AfterValidator(secret_reference)]
Expression = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(expression)]
Target = Literal["title", "description", "content", "author", "published_at", "url", "category"]
Encoding = Annotated[str, AfterValidator(known_encoding)]
Delimiter = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1, strip_whitespace=False),
    AfterValidator(one_delimiter),
]
Url = Annotated[str, Field(max_length=2000), AfterValidator(web_address)]
Headers = Annotated[dict[str, str], AfterValidator(plain_headers)]
Params = Annotated[dict[str, str | int | float | bool], AfterValidator(plain_params)]
PrimaryKey = Name | Annotated[list[Name], Field(min_length=1, max_length=20)]
BatchSize = Annotated[int, Field(ge=1, le=10_000)]


class Auth(Body):
    """How to sign in at the source; the secret itself stands in the environment."""

    type: Literal["bearer", "basic", "header", "query"]
    name: Annotated[str | None, Field(description="of the header or parameter")] = None
    username: Annotated[str | None, Field(description="for basic")] = None
    secret: Secret

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        if self.type == "basic" and not self.username:
            raise ValueError("basic needs 'username'")
        if self.type in ("header", "query") and not self.name:
            raise ValueError(f"{self.type} needs 'name'")
        if self.type == "header":
            name = self.name or ""
            if name.lower() in OUR_HEADERS or not HEADER_NAME.fullmatch(name):
                raise ValueError("this header cannot be set")
        return self


class Pagination(Body):
    style: Literal["none", "page", "offset", "cursor", "link"] = "none"
    param: Name | None = None
    start: Annotated[int | None, Field(ge=0)] = None
    size_param: Name | None = None
    size: Annotated[int | None, Field(ge=1)] = None
    cursor_path: Annotated[
        Expression | None,
        Field(description="JMESPath; with style link: where the body holds the next address"),
    ] = None

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        if self.style == "cursor" and not self.cursor_path:
            raise ValueError("cursor needs 'cursor_path'")
        if (self.size is None) != (self.size_param is None):
            raise ValueError("'size' and 'size_param' go together")
        return self


class SourceFields(Body):
    name: Slug
    enabled: bool = True
    primary_key: PrimaryKey | None = None
    mapping: dict[Target, Name] = Field(default_factory=dict)
    batch_size: BatchSize = 5000


class CsvSource(SourceFields):
    kind: Literal["csv"]
    path: Annotated[
        str, Field(min_length=1, max_length=1000, description="a file or glob below SOURCE_ROOTS")
    ]
    delimiter: Delimiter = ","
    encoding: Encoding = "utf-8-sig"


class ApiSource(SourceFields):
    kind: Literal["api"]
    url: Url
    headers: Headers = Field(default_factory=dict)
    params: Params = Field(default_factory=dict)
    auth: Auth | None = None
    records_path: Annotated[Expression | None, Field(description="JMESPath")] = None
    pagination: Pagination = Field(default_factory=Pagination)


SourceSpec = Annotated[CsvSource | ApiSource, Field(discriminator="kind")]
source_spec: TypeAdapter[CsvSource | ApiSource] = TypeAdapter(SourceSpec)


class SourceChange(Body):
    """Some fields of a source, null for the default; which of them fit depends on its kind."""

    name: Slug | None = None
    kind: Literal["csv", "api"] | None = None
    enabled: bool | None = None
    primary_key: PrimaryKey | None = None
    mapping: dict[Target, Name] | None = None
    batch_size: BatchSize | None = None
    path: str | None = None
    delimiter: Delimiter | None = None
    encoding: Encoding | None = None
    url: Url | None = None
    headers: Headers | None = None
    params: Params | None = None
    auth: Auth | None = None
    records_path: Expression | None = None
    pagination: Pagination | None = None


class Stored(Answer):
    id: int
    owner_id: int | None
    created_at: datetime
    updated_at: datetime


class CsvSourceRead(CsvSource, Stored): ...


class ApiSourceRead(ApiSource, Stored): ...


SourceRead = Annotated[CsvSourceRead | ApiSourceRead, Field(discriminator="kind")]


class RunAsked(Body):
    full_refresh: Annotated[
        bool, Field(description="also drop the records that the source no longer has")
    ] = False


class RunRead(Answer):
    run_id: str
    source: str
    job_id: str | None
    status: RunStatus
    start_time: datetime
    end_time: datetime | None
    duration_ms: float | None
    batches: int
    records_processed: int
    records_inserted: int
    records_updated: int
    records_failed: int
    error: str | None


class RunsAccepted(Answer):
    status: Literal["accepted"] = "accepted"
    runs: list[RunRead]


class RejectRead(Answer):
    id: int
    source: str
    run_id: str
    reason: str
    payload: dict[str, Any]
    raw_position: int
    created_at: datetime


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


class RunInStats(Answer):
    run_id: str
    source: str
    start_time: datetime
    end_time: datetime | None
    status: RunStatus
    records_processed: int
    records_inserted: int
    records_updated: int
    records_failed: int
    duration_ms: float | None


class SourceStats(Answer):
    runs: int
    records_processed: int
    records_inserted: int
    records_updated: int
    records_failed: int
    last_run_id: str
    last_run_timestamp: datetime
    last_run_status: RunStatus


class Stats(Answer):
    last_run_id: str | None
    total_records_processed: int
    total_records_inserted: int
    total_records_updated: int
    total_records_failed: int
    last_run_timestamp: datetime | None
    last_run_status: RunStatus | None
    last_failure_timestamp: datetime | None
    runs: list[RunInStats]
    sources: dict[str, SourceStats]
