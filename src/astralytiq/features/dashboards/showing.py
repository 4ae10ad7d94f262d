"""What the widgets of a dashboard show: all of them in one answer, each with its own error."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.errors import AppError, Fault, Invalid
from astralytiq.core.offers import FIGURES
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.features.history import graph, things, views

from . import answers, snapshot
from .models import Dashboard, FigureSample
from .schemas import (
    WIDGETS,
    BarWidget,
    DashboardData,
    EventsWidget,
    LineageWidget,
    LineWidget,
    MarkdownWidget,
    MetricWidget,
    TableWidget,
    Widget,
    WidgetData,
)

MOST_POINTS = 500


async def faults_of(
    resources: Resources, session: AsyncSession, widgets: Sequence[Widget]
) -> list[Fault]:
    """Everything that is wrong with widgets that somebody wants to keep."""
    found: list[Fault] = []
    for index, widget in enumerate(widgets):
        loc = ("body", "widgets", index)
        metric = getattr(widget, "metric", None)
        if metric is not None and metric not in FIGURES:
            known = ", ".join(sorted(FIGURES))
            found.append(Fault((*loc, "metric"), f"no metric {metric!r}; there are {known}"))
        if isinstance(widget, BarWidget | TableWidget | LineWidget) and widget.query:
            asked = (*loc, "query")
            found += await answers.faults_of(resources, session, widget.query, asked)
    return found


async def refuse_faulty(resources: Resources, widgets: Sequence[Widget]) -> None:
    if not widgets:
        return
    async with resources.database.reading() as session:
        faults = await faults_of(resources, session, widgets)
    if faults:
        raise Invalid(f"{len(faults)} of the widgets' fields cannot be.", faults=tuple(faults))


async def show(
    resources: Resources, session: AsyncSession, actor: Actor, dashboard: Dashboard
) -> DashboardData:
    widgets = WIDGETS.validate_python(dashboard.widgets)
    shown = [await one(resources, session, actor, n, widget) for n, widget in enumerate(widgets)]
    return DashboardData(
        id=dashboard.id,
        name=dashboard.name,
        refresh_rate=dashboard.refresh_rate,
        timestamp=utc_now(),
        widgets=shown,
    )


async def one(
    resources: Resources, session: AsyncSession, actor: Actor, index: int, widget: Widget
) -> WidgetData:
    """Of a data set that is gone, or that the reader may not see, the others know nothing."""
    shown = WidgetData(index=index, type=widget.type, title=widget.title)
    try:
        shown.data = await SHOWING[type(widget)](resources, session, actor, widget)
    except AppError as refusal:
        shown.error = refusal.detail
    return shown


async def metric(
    resources: Resources, session: AsyncSession, actor: Actor, widget: MetricWidget
) -> dict[str, Any]:
    figure = FIGURES.get(widget.metric)
    if figure is None:
        raise Invalid(f"There is no metric {widget.metric!r} any more.")
    value = await figure.measure(session)
    return {"metric": widget.metric, "value": value, "unit": figure.unit, "about": figure.about}


async def line(
    resources: Resources, session: AsyncSession, actor: Actor, widget: LineWidget
) -> dict[str, Any]:
    if widget.query:
        return await answers.answer(resources, session, actor, widget.query)
    assert widget.metric  # The schema asks for one of the two.
    since = utc_now() - timedelta(hours=widget.hours)
    query = (
        select(FigureSample.at, FigureSample.value)
        .where(FigureSample.name == widget.metric, FigureSample.at >= since)
        .order_by(FigureSample.at)
    )
    points = [(row.at, row.value) for row in await session.execute(query)]
    figure = FIGURES.get(widget.metric)
    return {
        "metric": widget.metric,
        "unit": figure.unit if figure else "",
        "points": [{"at": at, "value": value} for at, value in thinned(points)],
    }


def thinned(points: Sequence[tuple[Any, float]]) -> list[tuple[Any, float]]:
    """At most `MOST_POINTS`: the means of as many neighbours as it takes, at the first's time."""
    step = -(-len(points) // MOST_POINTS) or 1
    parts = [points[at : at + step] for at in range(0, len(points), step)]
    return [(part[0][0], sum(value for _, value in part) / len(part)) for part in parts]


async def rows(
    resources: Resources, session: AsyncSession, actor: Actor, widget: BarWidget | TableWidget
) -> dict[str, Any]:
    return await answers.answer(resources, session, actor, widget.query)


async def events(
    resources: Resources, session: AsyncSession, actor: Actor, widget: EventsWidget
) -> dict[str, Any]:
    found = await snapshot.newest(resources, session, actor, widget.topic, widget.limit)
    return {"topic": widget.topic, "events": found}


async def lineage(
    resources: Resources, session: AsyncSession, actor: Actor, widget: LineageWidget
) -> dict[str, Any]:
    actor.require("data:read")
    start = await things.find(session, widget.kind, widget.id)
    found = await graph.around(session, actor, start, widget.direction, widget.depth)
    return views.read(found).model_dump(mode="json")


async def markdown(
    resources: Resources, session: AsyncSession, actor: Actor, widget: MarkdownWidget
) -> dict[str, Any]:
    return {"text": widget.text}


SHOWING: dict[type[Any], Callable[..., Awaitable[dict[str, Any]]]] = {
    MetricWidget: metric,
    LineWidget: line,
    BarWidget: rows,
    TableWidget: rows,
    EventsWidget: events,
    LineageWidget: lineage,
    MarkdownWidget: markdown,
}
