"""Commands to look after a server: how it is, how quick, and whether it works as it should."""

from typing import Annotated, Any

import typer

from astralytiq.terminal import FAILURE, AsJson, connected, examples, fail, group, show, show_json

app = group("monitor", "How a server is: its parts, its requests, its tests of itself.")

PARTS = ("part", "status", "latency_ms", "detail")
REQUESTS = ("method", "path", "count", "errors", "mean_ms", "p50_ms", "p95_ms", "p99_ms",
            "slowest_ms")  # fmt: skip
TESTS = ("name", "passed", "expected", "status_code", "latency_ms", "detail")
TABLES = ("name", "rows", "how")
Every = Annotated[bool, typer.Option("--all", help="Also show the tests that passed.")]
Window = Annotated[str, typer.Option(help="1m, 5m, 15m, 60m, or since the start: start.")]


@app.command("health")
@examples("astralytiq --server http://data.example.org monitor health")
def health(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every part we depend on; exit code 1 if one is not well."""
    with connected(context) as client:
        found = client.get("/health/detailed")
    if as_json:
        show_json(found)
    else:
        parts = [{"part": name, **check} for name, check in found["checks"].items()]
        show(parts, PARTS, as_json=False)
    if found["status"] != "healthy":
        fail(f"The server is {found['status']}.")


@app.command("requests")
@examples("astralytiq --server http://data.example.org monitor requests --window 60m")
def requests(context: typer.Context, window: Window = "15m", as_json: AsJson = False) -> None:
    """Show count, errors and durations of each door, where most time was spent first."""
    with connected(context) as client:
        found = client.get("/monitoring/metrics/performance", params={"window": window})
    if as_json:
        show_json(found)
        return
    for one in found["windows"]:
        overall: dict[str, Any] = {"method": "", "path": "(all)", **one["overall"]}
        show([overall, *one["endpoints"]], REQUESTS, as_json=False)


@app.command("database")
@examples("astralytiq monitor database")
def database(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the tables with their rows: counted, estimated, or at least so many."""
    with connected(context) as client:
        found = client.get("/monitoring/metrics/database")
    if as_json:
        show_json(found)
    else:
        show(found["tables"], TABLES, as_json=False)


@app.command("validate")
@examples("""astralytiq monitor validate
astralytiq --server http://data.example.org monitor validate --all""")
def validate(context: typer.Context, every: Every = False, as_json: AsJson = False) -> None:
    """Let the server try its own doors and ways in; exit code 1 if a test fails."""
    with connected(context) as client:
        found = {
            name: client.get(f"/monitoring/validate/{name}")
            for name in ("endpoints", "authentication")
        }
    results = [result for one in found.values() for result in one["results"]]
    failed = [result for result in results if not result["passed"]]
    if as_json:
        show_json(found)
    else:
        show(results if every else failed, TESTS, as_json=False)
        typer.echo(f"{len(results) - len(failed)} of {len(results)} tests passed")
    if failed:
        fail(f"{len(failed)} of {len(results)} tests failed.", FAILURE)
