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

COLUMNS = ("id", "name", "status", "widget_count", "views_today", "views_total", "owner_id")
Status = Annotated[str | None, typer.Option(help="draft, active or archived", show_default=False)]


@app.command("list")
@examples("astralytiq dashboard list --status active")
def list_dashboards(context: typer.Context, status: Status = None, as_json: AsJson = False) -> None:
    """List the dashboards that you may see, newest first."""
    with connected(context) as client:
        params = {"status": status} if status else {}
        show(client.get("/dashboards", params=params), COLUMNS, as_json=as_json)


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
        return f"{data['value']} {data['unit']}".strip()
    for name in ("rows", "points", "events", "nodes"):
        if name in data:
            return f"{len(data[name])} {name}"
    return str(data.get("text", ""))[:80]


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
        show_one(client.post("/dashboards", json=body), as_json=as_json)


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
        show_one(client.post(f"/dashboards/{dashboard_id}/duplicate"), as_json=as_json)


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
        found = client.get("/metrics/figures")
    show(found, ("name", "value", "unit", "about"), as_json=as_json)
