"""Commands for dashboards and for the figures of the platform."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    connected,
    examples,
    fail,
    group,
    show,
    show_json,
    show_one,
)

app = group("dashboard", "Dashboards: what a team looks at, and the figures of the platform.")

FEW, LONGEST_TEXT = 5, 80
ROUND_FROM = 10_000  # Of larger figures nobody reads the digits after the point.

COLUMNS = ("id", "name", "status", "widget_count", "views_today", "views_total", "owner_id")
Status = Annotated[str | None, typer.Option(help="draft, active or archived", show_default=False)]


@app.command("list")
@examples("astralytiq dashboard list --status active")
def list_dashboards(context: typer.Context, status: Status = None, as_json: AsJson = False) -> None:
    """List the dashboards that you may see, newest first."""
    with connected(context) as client:
        params = {"status": status} if status else {}
        show(client.every("/dashboards", params), COLUMNS, as_json=as_json)


@app.command("show")
@examples("astralytiq dashboard show 7")
def show_dashboard(context: typer.Context, dashboard_id: int, as_json: AsJson = False) -> None:
    """Show what each widget of a dashboard shows now."""
    with connected(context) as client:
        found = client.get(f"/dashboards/{dashboard_id}/data")
    if as_json:
        show_json(found)
        return
    rows = [{**widget, "shows": in_words(widget)} for widget in found["widgets"]]
    show(rows, ("index", "type", "title", "shows"), as_json=False)


def in_words(widget: dict[str, Any]) -> str:
    """One line of a widget's data."""
    if widget["error"]:
        return f"error: {widget['error']}"
    data = widget["data"]
    if "value" in data:
        return f"{plain(data['value'])} {data['unit']}".strip()
    if "rows" in data:
        return rows_in_words(widget["type"], data["rows"])
    if "points" in data:
        return span_in_words([(point["at"], point["value"]) for point in data["points"]])
    for name in ("events", "nodes"):
        if name in data:
            return counted(data[name], name)
    text = " ".join(data.get("text", "").split())
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def rows_in_words(kind: str, rows: list[dict[str, Any]]) -> str:
    if kind == "line":
        return span_in_words([(row["group"], row["value"]) for row in rows])
    if not rows:
        return counted(rows, "rows")
    if kind == "bar":
        some = ", ".join(f"{plain(row['group'])} {plain(row['value'])}" for row in rows[:FEW])
        return f"{counted(rows, 'rows')}: {some}{', …' if len(rows) > FEW else ''}"
    first = ", ".join(f"{name} {plain(value)}" for name, value in rows[0].items())
    return f"{counted(rows, 'rows')}, the first: {first}"


def counted(things: list[Any], name: str) -> str:
    return f"{len(things)} {name if len(things) != 1 else name.removesuffix('s')}"


def span_in_words(points: list[tuple[Any, Any]]) -> str:
    """Where a line begins and ends."""
    if not points:
        return "nothing yet"
    ends = [f"{plain(at)}: {plain(value)}" for at, value in (points[0], points[-1])]
    return ends[0] if len(points) == 1 else f"{ends[0]} … {ends[1]} ({len(points)} points)"


def plain(value: Any) -> str:
    """A figure as people write it, and the day of what begins with it."""
    if isinstance(value, int | float) and abs(value) >= ROUND_FROM:
        return f"{value:,.0f}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value).removesuffix("T00:00:00+00:00")


def without_widgets(dashboard: dict[str, Any]) -> dict[str, Any]:
    """Their count says enough; `show` tells what they show."""
    return {name: value for name, value in dashboard.items() if name != "widgets"}


@app.command("add")
@examples("astralytiq dashboard add shop.json")
def add_dashboard(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="JSON with name and widgets; '-' reads stdin.")],
    as_json: AsJson = False,
) -> None:
    """Add a dashboard from a file, such as `dashboard export` writes."""
    try:
        text = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text()
        body = json.loads(text)
    except (OSError, ValueError) as fault:
        fail(f"{file} cannot be read as JSON: {fault}", BAD_INPUT)
    with connected(context) as client:
        made = client.post("/dashboards", json=body)
    show_one(made if as_json else without_widgets(made), as_json=as_json)


@app.command("export")
@examples("astralytiq dashboard export 7 > shop.json")
def export_dashboard(context: typer.Context, dashboard_id: int) -> None:
    """Print a dashboard so that `dashboard add` can add it elsewhere."""
    with connected(context) as client:
        found = client.get(f"/dashboards/{dashboard_id}")
    kept = ("name", "description", "status", "refresh_rate", "widgets")
    show_json({name: found[name] for name in kept})


@app.command("copy")
@examples("astralytiq dashboard copy 7")
def copy_dashboard(context: typer.Context, dashboard_id: int, as_json: AsJson = False) -> None:
    """Make a copy of your own."""
    with connected(context) as client:
        made = client.post(f"/dashboards/{dashboard_id}/duplicate")
    show_one(made if as_json else without_widgets(made), as_json=as_json)


@app.command("remove")
@examples("astralytiq dashboard remove 7")
def remove_dashboard(context: typer.Context, dashboard_id: int) -> None:
    """Delete a dashboard; the data that it shows stay."""
    with connected(context) as client:
        client.delete(f"/dashboards/{dashboard_id}")
        typer.echo(f"removed dashboard {dashboard_id}")


@app.command("figures")
@examples("astralytiq dashboard figures")
def list_figures(context: typer.Context, as_json: AsJson = False) -> None:
    """List the figures that widgets and alert rules can name, with their values of now."""
    with connected(context) as client:
        found = client.every("/metrics/figures")
    rows = found if as_json else [{**one, "value": plain(one["value"])} for one in found]
    show(rows, ("name", "value", "unit", "about"), as_json=as_json)
