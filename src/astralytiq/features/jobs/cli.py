"""Commands for background jobs."""

from typing import Any

import typer

from astralytiq.terminal import AsJson, Limit, connected, examples, follow, group, show, show_one

app = group("job", "Background jobs: list, show, follow, stop, try again.")

COLUMNS = ("job_id", "kind", "status", "progress", "phase", "created_at", "error")


@app.command("list")
@examples("astralytiq job list")
def list_jobs(
    context: typer.Context, status: str = "", limit: Limit = 100, as_json: AsJson = False
) -> None:
    """List jobs, newest first."""
    params: dict[str, Any] = {"limit": limit} | ({"status": status} if status else {})
    with connected(context) as client:
        show(client.get("/jobs", params=params), COLUMNS, as_json=as_json, total=client.total)


@app.command("show")
@examples("astralytiq job show 01a1fcaf-93b3-7f01-8887-6efe478eea10")
def show_job(context: typer.Context, job_id: str, as_json: AsJson = False) -> None:
    """Show one job with its history."""
    with connected(context) as client:
        show_one(client.get(f"/jobs/{job_id}"), as_json=as_json)


@app.command("follow")
@examples("astralytiq job follow 01a1fcaf-93b3-7f01-8887-6efe478eea10")
def follow_job(context: typer.Context, job_id: str, as_json: AsJson = False) -> None:
    """Wait for a job to end; exit code 1 if it failed."""
    with connected(context) as client:
        show_one(follow(client, job_id, "job"), as_json=as_json)


@app.command("cancel")
@examples("astralytiq job cancel 01a1fcaf-93b3-7f01-8887-6efe478eea10")
def cancel_job(context: typer.Context, job_id: str, as_json: AsJson = False) -> None:
    """Ask a job to stop at its next step."""
    with connected(context) as client:
        show_one(client.post(f"/jobs/{job_id}/cancel"), as_json=as_json)


@app.command("retry")
@examples("astralytiq job retry 01a1fcaf-93b3-7f01-8887-6efe478eea10")
def retry_job(context: typer.Context, job_id: str, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
    with connected(context) as client:
        show_one(client.post(f"/jobs/{job_id}/retry"), as_json=as_json)
