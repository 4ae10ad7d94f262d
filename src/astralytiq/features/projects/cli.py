"""Commands for projects."""

from typing import Annotated, Any

import typer

from astralytiq.terminal import BAD_INPUT, AsJson, connected, examples, fail, group, show, show_one

app = group("project", "Projects: what tasks and people belong together.")

COLUMNS = ("id", "name", "status", "programming_language", "owner_id", "members", "updated_at")

Text = Annotated[str | None, typer.Option(show_default=False)]
Status = Annotated[
    str | None, typer.Option(help="active, completed, archived or on_hold", show_default=False)
]


@app.command("list")
@examples("astralytiq project list --status active --q churn --sort -updated_at")
def list_projects(
    context: typer.Context,
    status: Status = None,
    language: Text = None,
    q: Annotated[str | None, typer.Option(help="Beginnings of words.")] = None,
    sort: Annotated[str, typer.Option(help="A column; '-' first turns it round.")] = "-created_at",
    as_json: AsJson = False,
) -> None:
    """List the projects that you own or are a member of."""
    with connected(context) as client:
        params = said(status=status, language=language, q=q, sort=sort)
        show(client.every("/projects", params), COLUMNS, as_json=as_json)


def said(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


@app.command("show")
@examples("astralytiq project show 7")
def show_project(context: typer.Context, project_id: int, as_json: AsJson = False) -> None:
    """Show one project."""
    with connected(context) as client:
        show_one(client.get(f"/projects/{project_id}"), as_json=as_json)


@app.command("summary")
@examples("astralytiq project summary")
def show_summary(context: typer.Context, as_json: AsJson = False) -> None:
    """Show totals of projects, tasks, data sets and models."""
    with connected(context) as client:
        show_one(client.get("/projects/stats/summary"), as_json=as_json)


@app.command("add")
@examples("astralytiq project add churn --language Python --framework scikit-learn")
def add_project(
    context: typer.Context,
    name: str,
    description: Text = None,
    kind: Annotated[str | None, typer.Option("--type", help="What kind of project.")] = None,
    language: Text = None,
    framework: Text = None,
    repository: Text = None,
    as_json: AsJson = False,
) -> None:
    """Add a project."""
    body = fields(name, description, kind, language, framework, repository, None)
    with connected(context) as client:
        show_one(client.post("/projects", json=body), as_json=as_json)


def fields(
    name: str | None,
    description: str | None,
    kind: str | None,
    language: str | None,
    framework: str | None,
    repository: str | None,
    status: str | None,
) -> dict[str, Any]:
    return said(
        name=name,
        description=description,
        project_type=kind,
        programming_language=language,
        framework=framework,
        repository_url=repository,
        status=status,
    )


@app.command("change")
@examples("astralytiq project change 7 --status on_hold")
def change_project(
    context: typer.Context,
    project_id: int,
    name: Text = None,
    description: Text = None,
    kind: Annotated[str | None, typer.Option("--type", help="What kind of project.")] = None,
    language: Text = None,
    framework: Text = None,
    repository: Text = None,
    status: Status = None,
    as_json: AsJson = False,
) -> None:
    """Change what you name, and nothing else."""
    body = fields(name, description, kind, language, framework, repository, status)
    if not body:
        fail("Say what to change, such as --status on_hold.", BAD_INPUT)
    with connected(context) as client:
        show_one(client.patch(f"/projects/{project_id}", json=body), as_json=as_json)


@app.command("share")
@examples("astralytiq project share 7 12 --role analyst")
def share_project(
    context: typer.Context,
    project_id: int,
    user_id: int,
    role: Annotated[str, typer.Option(help="viewer, analyst or data_scientist")] = "viewer",
    as_json: AsJson = False,
) -> None:
    """Let somebody in, or change how far: viewers read, the others write."""
    with connected(context) as client:
        path = f"/projects/{project_id}/members/{user_id}"
        show_one(client.call("PUT", path, json={"role": role}), as_json=as_json)


@app.command("unshare")
@examples("astralytiq project unshare 7 12")
def unshare_project(context: typer.Context, project_id: int, user_id: int) -> None:
    """End somebody's membership."""
    with connected(context) as client:
        client.delete(f"/projects/{project_id}/members/{user_id}")
        typer.echo(f"account {user_id} is no member of project {project_id} any more")


@app.command("remove")
@examples("astralytiq project remove 7 --resources delete")
def remove_project(
    context: typer.Context,
    project_id: int,
    resources: Annotated[str, typer.Option(help="detach or delete what it holds")] = "detach",
) -> None:
    """Delete a project."""
    with connected(context) as client:
        client.delete(f"/projects/{project_id}", params={"resources": resources})
        typer.echo(f"removed project {project_id} ({resources} its resources)")
