"""What the dashboard doors take in and give out."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from astralytiq.core.lineage import Kind
from astralytiq.core.schemas import Answer, Body, Id
from astralytiq.engines.tabular import query
from astralytiq.features.history.schemas import Direction
from astralytiq.features.projects.schemas import NO_NUL, ONE_LINE, absent

from .models import DashboardStatus
from .watching import Topic

MOST_WIDGETS = 40
Column = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]
Scalar = str | int | float | bool
Limit = Annotated[int, Field(ge=1, le=1000)]

# Questions to a data set -------------------------------------------------------------------------


class Where(Body):
    """`value` is a list for "in", and left out for nulls."""

    column: Column
    op: Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "is_null", "not_null"] = "eq"
    value: Scalar | Annotated[list[Scalar], Field(max_length=100)] | None = None

    def condition(self) -> query.Condition:
        return query.Condition(self.column, self.op, self.value)


class Asked(Body):
    """Of the newest version of a data set, or of the one that is named."""

    dataset_id: Id
    version: Id | None = None
    where: Annotated[list[Where], Field(max_length=10, default_factory=list)]
    limit: Limit = 50

    def conditions(self) -> tuple[query.Condition, ...]:
        return tuple(one.condition() for one in self.where)


class RowsQuery(Asked):
    columns: Annotated[list[Column], Field(min_length=1, max_length=20)]

    def question(self) -> query.Query:
        return query.Chosen(tuple(self.columns), self.conditions(), self.limit)


class GroupQuery(Asked):
    """One figure for each group of rows."""

    aggregate: Literal["count", "sum", "mean", "min", "max"] = "count"
    value: Column | None = None
    group_by: Column | None = None
    bucket: Annotated[
        Literal["minute", "hour", "day", "week", "month", "year"] | None,
        Field(description="cuts the times of group_by, also where they are ISO 8601 text"),
    ] = None
    order: Literal["group", "value"] = "value"

    def question(self) -> query.Query:
        return query.Grouped(
            self.aggregate, self.value, self.group_by, self.bucket, self.conditions(),
            self.order == "group", self.limit,
        )  # fmt: skip


# Widgets ----------------------------------------------------------------------------------------


class Shown(Body):
    title: Name | None = None
    width: Annotated[int, Field(ge=1, le=12, description="of twelve columns")] = 4


class MetricWidget(Shown):
    type: Literal["metric"]
    metric: Name


class LineWidget(Shown):
    """A figure over the last hours, or a data set's by time."""

    type: Literal["line"]
    metric: Name | None = None
    hours: Annotated[int, Field(ge=1, le=24 * 90)] = 24
    query: GroupQuery | None = None

    @model_validator(mode="after")
    def has_one(self) -> Self:
        if (self.metric is None) is (self.query is None):
            raise ValueError("a line shows a metric or a query: name one of them")
        return self


class BarWidget(Shown):
    type: Literal["bar"]
    query: GroupQuery


class TableWidget(Shown):
    type: Literal["table"]
    query: RowsQuery


class EventsWidget(Shown):
    """The newest jobs, runs or telemetry events."""

    type: Literal["events"]
    topic: Literal[Topic.jobs, Topic.runs, Topic.events] = Topic.runs
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class LineageWidget(Shown):
    type: Literal["lineage"]
    kind: Kind
    id: Name
    direction: Direction = Direction.both
    depth: Annotated[int, Field(ge=1, le=50)] = 20


class MarkdownWidget(Shown):
    type: Literal["markdown"]
    text: Annotated[str, Field(max_length=10_000, pattern=NO_NUL)]


Widget = Annotated[
    MetricWidget | LineWidget | BarWidget | TableWidget | EventsWidget | LineageWidget
    | MarkdownWidget,
    Field(discriminator="type"),
]  # fmt: skip
Widgets = Annotated[list[Widget], Field(max_length=MOST_WIDGETS)]
WIDGETS: TypeAdapter[list[Widget]] = TypeAdapter(Widgets)

# Dashboards -------------------------------------------------------------------------------------

Description = Annotated[str, Field(max_length=1000, pattern=NO_NUL)]
RefreshRate = Annotated[int, Field(ge=1, le=86_400, description="seconds")]


class DashboardCreate(Body):
    name: Name
    description: Description | None = None
    project_id: Id | None = None
    private: Annotated[bool, Field(description="hide it from the team")] = False
    status: DashboardStatus = DashboardStatus.active
    refresh_rate: RefreshRate = 30
    widgets: Annotated[Widgets, Field(default_factory=list)]


class DashboardChange(Body):
    """Only what is sent is changed; `widgets` are changed as a whole."""

    name: Name = Field(default_factory=absent)
    description: Description | None = None
    project_id: Id | None = None
    private: bool = Field(default_factory=absent)
    status: DashboardStatus = Field(default_factory=absent)
    refresh_rate: RefreshRate = Field(default_factory=absent)
    widgets: Widgets = Field(default_factory=absent)


class DashboardRead(Answer):
    id: int
    name: str
    description: str | None
    owner_id: int
    project_id: int | None
    private: bool
    status: DashboardStatus
    refresh_rate: int
    widgets: list[dict[str, Any]]
    widget_count: int
    views_today: int
    views_total: int
    created_at: datetime
    updated_at: datetime


class WidgetData(Answer):
    """What a widget shows; `error` says why it shows nothing."""

    index: int
    type: str
    title: str | None
    data: Any = None
    error: str | None = None


class DashboardData(Answer):
    id: int
    name: str
    refresh_rate: int
    timestamp: datetime
    widgets: list[WidgetData]


class MetricRead(Answer):
    """A figure that widgets and alert rules can name."""

    name: str
    about: str
    unit: str
    value: float | None


class MetricsRead(Answer):
    """All measured; null where there is nothing to measure yet."""

    total_datasets: int
    active_models: Annotated[int, Field(description="with a version in production")]
    total_dashboards: int
    data_processed_tb: Annotated[float, Field(description="terabytes of data set versions made")]
    api_calls_today: Annotated[int, Field(description="of all processes, the others' to a minute")]
    uptime_percentage: Annotated[float, Field(description="of the minutes that are kept")]
    active_users: Annotated[int, Field(description="within the last day")]
    model_accuracy_avg: Annotated[float | None, Field(description="in production, 0 to 1")]
    data_quality_score: Annotated[float | None, Field(description="0 to 100")]
    figures: Annotated[dict[str, float | None], Field(description="what widgets and rules name")]
