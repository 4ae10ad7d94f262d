"""Commands for accounts."""

from typing import Annotated

import typer

from astralytiq.terminal import AsJson, connected, examples, group, show, show_one

app = group("user", "Accounts: list them, add one.")

COLUMNS = ("id", "email", "username", "role", "is_active", "last_login")


@app.command("list")
@examples("astralytiq user list --json")
def list_users(context: typer.Context, as_json: AsJson = False) -> None:
    """List the accounts."""
    with connected(context) as client:
        show(client.get("/users"), COLUMNS, as_json=as_json)


@app.command("add")
@examples("astralytiq user add ada@example.com ada --role data_scientist")
def add_user(
    context: typer.Context,
    email: str,
    username: str,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    role: Annotated[str, typer.Option(help="viewer, analyst, data_scientist or admin")] = "analyst",
    as_json: AsJson = False,
) -> None:
    """Add an account."""
    body = {"email": email, "username": username, "password": password, "role": role}
    with connected(context) as client:
        show_one(client.post("/users", json=body), as_json=as_json)
