"""A source, as its owner writes it and as its doors show it."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, model_validator

from astralytiq.core.schemas import Answer, Body
from astralytiq.engines.etl.cursor_values import Written
from astralytiq.engines.etl.feeds import FEED_MAPPING

from .checks import (
    HEADER_NAME,
    OUR_HEADERS,
    SOURCE_NAME,
    asks_by_cursor,
    comparable,
    distinct_names,
    expression,
    known_encoding,
    known_lag,
    known_rule,
    one_delimiter,
    plain_body,
    plain_headers,
    plain_name,
    plain_params,
    secret_reference,
    web_address,
)

Slug = Annotated[
    str,
    Field(max_length=100, json_schema_extra={"pattern": f"^{SOURCE_NAME.pattern}$"}),
    AfterValidator(plain_name),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=False)]
Secret = Annotated[str, AfterValidator(secret_reference)]
Expression = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(expression)]
Target = Literal["title", "description", "content", "author", "published_at", "url", "category"]
Encoding = Annotated[str, AfterValidator(known_encoding)]
Delimiter = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4, strip_whitespace=False),
    Field(description="one character, or auto"),
    AfterValidator(one_delimiter),
]
Quote = Literal['"', "'", "none", "auto"]
Header = Annotated[
    bool | Literal["auto"] | Annotated[list[Name], Field(min_length=1, max_length=10_000)],
    Field(description="whether the first row names the columns; or their names, if none does"),
    AfterValidator(distinct_names),
]
Url = Annotated[str, Field(max_length=2000), AfterValidator(web_address)]
Headers = Annotated[dict[str, str], AfterValidator(plain_headers)]
Params = Annotated[dict[str, str | int | float | bool], AfterValidator(plain_params)]
JsonBody = Annotated[dict[str, Any], AfterValidator(plain_body)]
PrimaryKey = Name | Annotated[list[Name], Field(min_length=1, max_length=20)]
BatchSize = Annotated[int, Field(ge=1, le=10_000)]
SchemaPolicy = Annotated[
    Literal["evolve", "freeze", "discard"],
    Field(description="new fields and types: accept them, stop the run, or drop new fields"),
]
RejectRatio = Annotated[
    float, Field(ge=0, le=1, description="a run fails when a larger share of it is rejected")
]
CursorField = Annotated[
    Name, Field(description="grows with each new or changed record: runs read what lies beyond")
]
CursorStart = Annotated[
    Written,
    Field(description="what lies before it is not read at all"),
    AfterValidator(comparable),
]
CursorLag = Annotated[
    str | int | float,
    Field(description="read again so much before the bookmark: '10m' (s, m, h, d), or a number"),
    AfterValidator(known_lag),
]
EndStatuses = Annotated[
    list[Literal[400, 404, 410, 416, 422]],
    Field(
        max_length=5,
        description="what is answered, after the first page, where there are no more pages; "
        "without it such an answer fails the run",
    ),
]
Rule = Annotated[
    str,
    Field(max_length=100, description="cron in UTC, or 'every 15m' (s, m, h, d)"),
    AfterValidator(known_rule),
]


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
    end_statuses: EndStatuses = Field(default_factory=list)

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        if self.end_statuses and self.style not in ("page", "offset"):
            raise ValueError("'end_statuses' needs style page or offset")
        if self.style == "cursor" and not self.cursor_path:
            raise ValueError("cursor needs 'cursor_path'")
        if (self.size is None) != (self.size_param is None):
            raise ValueError("'size' and 'size_param' go together")
        return self


class RateLimit(Body):
    """At most so many requests to the source's host within any so many seconds."""

    requests: Annotated[int, Field(ge=1, le=1000)]
    per_seconds: Annotated[float, Field(gt=0, le=3600)]


class Retry(Body):
    """How often a page is asked for, and for how long from the first attempt to the last."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 4
    max_seconds: Annotated[float, Field(gt=0, le=3600)] = 600.0


class AnySource(Body):
    name: Slug
    enabled: bool = True
    schedule: Rule | None = None
    primary_key: PrimaryKey | None = None
    mapping: dict[Target, Name] = Field(default_factory=dict)
    batch_size: BatchSize = 10_000
    schema_policy: SchemaPolicy = "evolve"
    max_reject_ratio: RejectRatio | None = None
    cursor_field: CursorField | None = None
    cursor_start: CursorStart | None = None
    cursor_lag: CursorLag | None = None

    @model_validator(mode="after")
    def has_its_cursor_field(self) -> Self:
        for name in ("cursor_start", "cursor_lag"):
            if getattr(self, name) is not None and self.cursor_field is None:
                raise ValueError(f"{name!r} needs 'cursor_field'")
        return self


class CsvSource(AnySource):
    """Files below SOURCE_ROOTS, or one that a web server or a bucket has."""

    kind: Literal["csv"]
    path: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1000,
            description="a file or glob below SOURCE_ROOTS, or s3://bucket/key, or a glob of those",
        ),
    ] = None
    url: Annotated[Url | None, Field(description="of a file, in place of a path")] = None
    headers: Headers = Field(default_factory=dict)
    params: Params = Field(default_factory=dict)
    auth: Auth | None = None
    rate_limit: RateLimit | None = None
    retry: Retry = Field(default_factory=Retry)
    delimiter: Delimiter = ","
    quote: Annotated[Quote, Field(description="none: quotes are text like any other")] = '"'
    header: Header = True
    encoding: Encoding = "utf-8-sig"

    @model_validator(mode="after")
    def has_one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give a path or a url, one of them")
        asked = self.headers or self.params or self.auth or self.rate_limit
        if self.path and (asked or self.retry != Retry()):
            raise ValueError("headers, params, auth, rate_limit and retry need a url")
        return self


class RssSource(AnySource):
    """RSS, Atom, RDF or JSON Feed. What `mapping` leaves out is found where feeds have it."""

    kind: Literal["rss"]
    url: Url
    headers: Headers = Field(default_factory=dict)
    params: Params = Field(default_factory=dict)
    auth: Auth | None = None
    rate_limit: RateLimit | None = None
    retry: Retry = Field(default_factory=Retry)
    primary_key: PrimaryKey | None = "id"

    @model_validator(mode="after")
    def is_mapped(self) -> Self:
        self.mapping = {**FEED_MAPPING, **self.mapping}
        return self


class ApiSource(AnySource):
    kind: Literal["api"]
    url: Url
    method: Literal["GET", "POST"] = "GET"
    body: Annotated[
        JsonBody | None, Field(description="with POST: JSON, which pagination adds its fields to")
    ] = None
    headers: Headers = Field(default_factory=dict)
    params: Params = Field(default_factory=dict)
    auth: Auth | None = None
    records_path: Annotated[Expression | None, Field(description="JMESPath")] = None
    pagination: Pagination = Field(default_factory=Pagination)
    rate_limit: RateLimit | None = None
    retry: Retry = Field(default_factory=Retry)

    @model_validator(mode="after")
    def asks_with_a_body_by_post(self) -> Self:
        if self.body is not None and self.method != "POST":
            raise ValueError("a body needs method POST")
        return self

    @model_validator(mode="after")
    def knows_what_the_cursor_is(self) -> Self:
        if self.cursor_field is None and asks_by_cursor(self.headers, self.params, self.body):
            raise ValueError("'{cursor}' needs 'cursor_field'")
        return self


WebSource = ApiSource | RssSource | CsvSource
SourceSpec = Annotated[CsvSource | ApiSource | RssSource, Field(discriminator="kind")]
source_spec: TypeAdapter[CsvSource | ApiSource | RssSource] = TypeAdapter(SourceSpec)


class SourceChange(Body):
    """Some fields of a source, null for the default; which of them fit depends on its kind."""

    name: Slug | None = None
    kind: Literal["csv", "api", "rss"] | None = None
    enabled: bool | None = None
    schedule: Rule | None = None
    primary_key: PrimaryKey | None = None
    mapping: dict[Target, Name] | None = None
    batch_size: BatchSize | None = None
    schema_policy: SchemaPolicy | None = None
    max_reject_ratio: RejectRatio | None = None
    cursor_field: CursorField | None = None
    cursor_start: CursorStart | None = None
    cursor_lag: CursorLag | None = None
    path: str | None = None
    delimiter: Delimiter | None = None
    quote: Quote | None = None
    header: Header | None = None
    encoding: Encoding | None = None
    url: Url | None = None
    headers: Headers | None = None
    params: Params | None = None
    auth: Auth | None = None
    records_path: Expression | None = None
    pagination: Pagination | None = None
    method: Literal["GET", "POST"] | None = None
    body: JsonBody | None = None
    rate_limit: RateLimit | None = None
    retry: Retry | None = None


class Stored(Answer):
    id: int
    owner_id: int | None
    created_at: datetime
    updated_at: datetime
    next_run_at: Annotated[datetime | None, Field(description="when its schedule is due")]


class CsvSourceRead(CsvSource, Stored): ...


class ApiSourceRead(ApiSource, Stored): ...


class RssSourceRead(RssSource, Stored): ...


SourceRead = Annotated[CsvSourceRead | ApiSourceRead | RssSourceRead, Field(discriminator="kind")]
