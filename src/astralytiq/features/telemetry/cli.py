"""Commands for telemetry."""

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    connected,
    examples,
    fail,
    follow,
    group,
    show,
    show_one,
)

if TYPE_CHECKING:
    from astralytiq.client import Client

app = group("telemetry", "Events of devices: statistics, the newest, made-up drivers.")

PAUSE_SECONDS = 1.0
EVENT = ("timestamp", "device_id", "ear_value", "is_drowsy", "duration_ms", "severity", "event_id")
DEVICE = ("id", "device_id", "name", "events", "first_seen_at", "last_seen_at")
Device = Annotated[str, typer.Option(help="what the device calls itself")]
Since = Annotated[str, typer.Option(help="at this time or later, such as 2026-01-31T12:00:00Z")]
Until = Annotated[str, typer.Option(help="before this time")]


def asked(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


@app.command("stats")
@examples("""
astralytiq telemetry stats
astralytiq telemetry stats --device cab-7 --since 2026-01-31
""")
def show_statistics(
    context: typer.Context,
    device: Device = "",
    since: Since = "",
    until: Until = "",
    as_json: AsJson = False,
) -> None:
    """Show how many events there are, how drowsy, and how grave."""
    with connected(context) as client:
        params = asked(device=device, since=since, until=until)
        show_one(client.get("/statistics", params=params), as_json=as_json)


@app.command("summary")
@examples("astralytiq telemetry summary")
def show_summary(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the last hour and the 24 before, of all devices."""
    with connected(context) as client:
        found = client.get("/dashboard")
    if as_json:
        show_one(found, as_json=True)
        return
    show_one({"status": found["status"], **found["last_hour"]}, as_json=False)
    columns = ("hour", "events_count", "drowsy_count", "average_ear", "alert_rate")
    show(found["hourly"], columns, as_json=False)


@app.command("perclos")
@examples("astralytiq telemetry perclos cab-7")
def show_perclos(
    context: typer.Context,
    device: str,
    since: Since = "",
    until: Until = "",
    as_json: AsJson = False,
) -> None:
    """Show the share of each minute in which the eyes were closed, where events cover it."""
    with connected(context) as client:
        params = {"device": device, **asked(since=since, until=until)}
        found = client.get("/telemetry/perclos", params=params)
    if as_json:
        show(found, (), as_json=True)
        return
    seconds = [
        {**one, "seen_s": one["covered_ms"] / 1000, "closed_s": one["closed_ms"] / 1000}
        for one in found
    ]
    show(seconds, ("minute", "events", "seen_s", "closed_s", "perclos"), as_json=False)


@app.command("tail")
@examples("""
astralytiq telemetry tail --limit 5
astralytiq telemetry tail --follow
""")
def show_newest(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many to begin with")] = 20,
    follows: Annotated[
        bool, typer.Option("--follow", "-f", help="go on until Ctrl-C; with --json a line each")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the newest events, the last to arrive at the end."""
    with connected(context) as client:
        newest = list(reversed(client.get("/events/recent", params={"limit": limit})["events"]))
        if not follows:
            show(newest, EVENT, as_json=as_json)
            return
        try:
            keep_on(client, newest, as_json)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def keep_on(client: "Client", newest: list[dict[str, Any]], as_json: bool) -> None:
    last: tuple[str, str] | None = None
    while True:
        for event in newest:
            sys.stdout.write(line_of(event, as_json) + "\n")
            last = event["device_id"], event["event_id"]
        sys.stdout.flush()
        time.sleep(PAUSE_SECONDS)
        newest = []
        for event in client.get("/events/recent", params={"limit": 1000})["events"]:
            if (event["device_id"], event["event_id"]) == last:
                break
            newest.insert(0, event)


def line_of(event: dict[str, Any], as_json: bool) -> str:

    return json.dumps(event) if as_json else "  ".join(str(event[name]) for name in EVENT)


@app.command("simulate")
@examples("""
astralytiq telemetry simulate --devices 5 --rate 2 --seconds 60
astralytiq --server http://127.0.0.1:8000 telemetry simulate --devices 200 --rate 10 --one-by-one
""")
def simulate(
    context: typer.Context,
    devices: Annotated[int, typer.Option(min=1, max=10_000)] = 5,
    rate: Annotated[
        float, typer.Option(min=0.01, max=100, help="events a second of each device")
    ] = 1.0,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400)] = 60.0,
    seed: Annotated[int, typer.Option(help="the same drivers again")] = 0,
    one_by_one: Annotated[
        bool, typer.Option("--one-by-one", help="a request for each event, not for each tick")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Play devices with made-up drivers, who blink, and some of whom fall asleep.

    What does not arrive is sent again with the same ids, for a minute.
    """
    from rich.console import Console  # noqa: PLC0415 - --help draws no progress
    from rich.progress import Progress  # noqa: PLC0415

    from .simulating import Plan, Simulation  # noqa: PLC0415 - it needs HTTP, --help none

    plan = Plan(devices, rate, seconds, seed, one_by_one)
    with connected(context) as client, Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("simulating", total=seconds)

        def watch(done: float, events: int) -> None:
            progress.update(bar, completed=done, description=f"{events} events")

        told = Simulation(client, plan).run(watch)
    show_one(told.shown, as_json=as_json)


@app.command("devices")
@examples("astralytiq telemetry devices")
def list_devices(context: typer.Context, as_json: AsJson = False) -> None:
    """List the devices, those seen last first."""
    with connected(context) as client:
        show(client.every("/devices"), DEVICE, as_json=as_json)


@app.command("rename")
@examples("astralytiq telemetry rename cab-7 'Cab 7, north garage'")
def rename_device(context: typer.Context, device: str, name: str, as_json: AsJson = False) -> None:
    """Give a device a name that people know it by."""
    with connected(context) as client:
        number = number_of(client, device)
        show_one(client.patch(f"/devices/{number}", json={"name": name}), as_json=as_json)


@app.command("forget")
@examples("astralytiq telemetry forget cab-7 --yes")
def forget_device(
    context: typer.Context,
    device: str,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Delete a device with all events that it sent."""
    if not yes:
        typer.confirm(f"Delete {device} with all its events, for good?", abort=True)
    with connected(context) as client:
        asked = client.delete(f"/devices/{number_of(client, device)}")
        job = follow(client, asked["job_id"], f"forgetting {device}")
        typer.echo(f"deleted {device} and {job['result']['deleted']} events")


def number_of(client: "Client", device: str) -> int:
    found = client.get("/devices", params={"device_id": device})
    if not found:
        fail(f"No device calls itself {device!r}: 'telemetry devices' lists them.", BAD_INPUT)
    return int(found[0]["id"])
