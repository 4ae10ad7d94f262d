"""Commands for tasks: people's to-dos."""

from typing import Annotated, Any

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    Limit,
    connected,
    examples,
    fail,
    group,
    show,
    show_one,
)

app = group("task", "Tasks: people's to-dos (background work is a job).")

COLUMNS = ("id", "title", "status", "priority", "due_date", "project_id", "assignee_id", "tags")

Text = Annotated[str | None, typer.Option(show_default=False)]
Number = Annotated[int | None, typer.Option(min=1, show_default=False)]
Status = Annotated[
    str | None,
    typer.Option(help="pending, in_progress, completed or cancelled", show_default=False),
]
Priority = Annotated[
    str | None, typer.Option(help="low, medium, high or urgent", show_default=False)
]
Due = Annotated[
    str | None, typer.Option(help="such as 2030-01-31 or 2030-01-31T12:00:00Z", show_default=False)
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="May be given more than once.", show_default=False)
]


@app.command("list")
@examples("astralytiq task list --status pending --overdue\nastralytiq task list --q report --json")
def list_tasks(
    context: typer.Context,
    status: Status = None,
    priority: Priority = None,
    project: Number = None,
    assignee: Number = None,
    overdue: Annotated[bool | None, typer.Option("--overdue/--not-overdue")] = None,
    q: Annotated[str | None, typer.Option(help="Beginnings of words.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List your tasks and those of your projects, newest first."""
    params = said(
        status=status, priority=priority, project=project, assignee=assignee, overdue=overdue, q=q,
        limit=limit,
    )  # fmt: skip
    with connected(context) as client:
        found = client.get("/tasks", params=params)
        show(found, COLUMNS, as_json=as_json, total=client.total)


def said(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


@app.command("show")
@examples("astralytiq task show 7")
def show_task(context: typer.Context, task_id: int, as_json: AsJson = False) -> None:
    """Show one task."""
    with connected(context) as client:
        show_one(client.get(f"/tasks/{task_id}"), as_json=as_json)


@app.command("stats")
@examples("astralytiq task stats")
def show_stats(context: typer.Context, as_json: AsJson = False) -> None:
    """Show how many tasks stand where."""
    with connected(context) as client:
        show_one(client.get("/tasks/stats"), as_json=as_json)


@app.command("add")
@examples(
    "astralytiq task add 'Label the new readings' --priority high --due 2030-01-31 --tag data"
)
def add_task(
    context: typer.Context,
    title: str,
    description: Text = None,
    priority: Priority = None,
    due: Due = None,
    project: Number = None,
    assignee: Number = None,
    tags: Tags = None,
    as_json: AsJson = False,
) -> None:
    """Add a task."""
    body = said(
        title=title, description=description, priority=priority, due_date=due, project_id=project,
        assignee_id=assignee, tags=tags,
    )  # fmt: skip
    with connected(context) as client:
        show_one(client.post("/tasks", json=body), as_json=as_json)


@app.command("change")
@examples("astralytiq task change 7 --status in_progress --assignee 12")
def change_task(
    context: typer.Context,
    task_id: int,
    title: Text = None,
    description: Text = None,
    status: Status = None,
    priority: Priority = None,
    due: Due = None,
    project: Number = None,
    assignee: Number = None,
    tags: Tags = None,
    as_json: AsJson = False,
) -> None:
    """Change what you name, and nothing else."""
    body = said(
        title=title, description=description, status=status, priority=priority, due_date=due,
        project_id=project, assignee_id=assignee, tags=tags,
    )  # fmt: skip
    if not body:
        fail("Say what to change, such as --status in_progress.", BAD_INPUT)
    with connected(context) as client:
        show_one(client.patch(f"/tasks/{task_id}", json=body), as_json=as_json)


@app.command("complete")
@examples("astralytiq task complete 7")
def complete_task(context: typer.Context, task_id: int, as_json: AsJson = False) -> None:
    """Mark a task as done."""
    with connected(context) as client:
        done = client.patch(f"/tasks/{task_id}", json={"is_completed": True})
        show_one(done, as_json=as_json)


@app.command("remove")
@examples("astralytiq task remove 7")
def remove_task(context: typer.Context, task_id: int) -> None:
    """Delete a task."""
    with connected(context) as client:
        client.delete(f"/tasks/{task_id}")
        typer.echo(f"removed task {task_id}")
