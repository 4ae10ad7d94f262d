"""Commands for accounts and API keys."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from astralytiq.client import Client

user = group("user", "Accounts: list, add, change, remove; sign in to a server.")
key = group("key", "API keys for devices and services.")

COLUMNS = ("id", "email", "username", "role", "is_active", "last_login")
KEY_COLUMNS = ("id", "name", "prefix", "scopes", "expires_at", "last_used_at")
RoleName = Annotated[str, typer.Option(help="viewer, analyst, data_scientist or admin")]


def asked_password(prompt: str = "Password") -> str:
    """From the terminal unseen, or one line of standard input: never from the command line, which
    other people on the machine and the shell's history can read."""
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\n")


def id_of(client: "Client", account: str) -> int:
    """The account's number, by itself, its email or its username."""
    if account.isdigit():
        return int(account)
    for known in client.every("/users"):
        if account.lower() in (known["email"].lower(), known["username"].lower()):
            return int(known["id"])
    fail(f"There is no account {account!r}; 'astralytiq user list' shows them.", BAD_INPUT)


def show_link(answer: dict[str, Any], *, as_json: bool) -> None:
    """The link alone on standard output, for pipes; what belongs to it on standard error."""
    if as_json:
        show_json(answer)
        return
    typer.echo(answer["link"])
    mailed = " It was mailed too." if answer.get("mailed") else ""
    typer.echo(f"Good once, until {answer['expires_at']}; not shown again.{mailed}", err=True)


@user.command("login")
@examples("export ASTRALYTIQ_TOKEN=$(astralytiq --server http://host:8000 user login ada)")
def login(context: typer.Context, account: str, as_json: AsJson = False) -> None:
    """Sign in to --server and print an access token for --token."""
    with connected(context) as client:
        answer = client.post("/auth/login", json={"email": account, "password": asked_password()})
        if as_json:
            show_json(answer)
        else:
            typer.echo(answer["access_token"])


@user.command("list")
@examples("astralytiq user list --json")
def list_users(context: typer.Context, as_json: AsJson = False) -> None:
    """List the accounts."""
    with connected(context) as client:
        show(client.every("/users"), COLUMNS, as_json=as_json)


@user.command("add")
@examples("astralytiq user add ada@example.com ada --role data_scientist")
def add_user(
    context: typer.Context,
    email: str,
    username: str,
    role: RoleName = "analyst",
    as_json: AsJson = False,
) -> None:
    """Add an account; asks for its password."""
    body = {"email": email, "username": username, "password": asked_password(), "role": role}
    with connected(context) as client:
        show_one(client.post("/users", json=body), as_json=as_json)


@user.command("change")
@examples(
    """
    astralytiq user change ada --role admin
    astralytiq user change ada --inactive
    """
)
def change_user(
    context: typer.Context,
    account: str,
    role: RoleName = "",
    active: Annotated[bool | None, typer.Option("--active/--inactive")] = None,
    full_name: str = "",
    as_json: AsJson = False,
) -> None:
    """Change an account's role, name, or whether it may sign in."""
    body: dict[str, Any] = {"role": role} if role else {}
    if active is not None:
        body["is_active"] = active
    if full_name:
        body["full_name"] = full_name
    with connected(context) as client:
        show_one(client.patch(f"/users/{id_of(client, account)}", json=body), as_json=as_json)


@user.command("reset-password")
@examples("astralytiq user reset-password ada")
def reset_password(context: typer.Context, account: str) -> None:
    """Set a new password for an account; all its sessions end."""
    with connected(context) as client:
        user_id = id_of(client, account)
        body = {"new_password": asked_password("New password")}
        client.call("PUT", f"/users/{user_id}/password", json=body)
        typer.echo(f"{account} has a new password; all sessions were ended.")


@user.command("invite")
@examples("astralytiq user invite ada@example.com --role data_scientist")
def invite_user(
    context: typer.Context,
    email: str,
    role: RoleName = "analyst",
    username: Annotated[str, typer.Option(help="made of the email if left out")] = "",
    full_name: str = "",
    as_json: AsJson = False,
) -> None:
    """Add an account whose owner sets the password by a link; prints the link."""
    body: dict[str, Any] = {"email": email, "role": role}
    body |= {"username": username} if username else {}
    body |= {"full_name": full_name} if full_name else {}
    with connected(context) as client:
        show_link(client.post("/users/invite", json=body), as_json=as_json)


@user.command("link")
@examples("astralytiq user link ada")
def make_link(context: typer.Context, account: str, as_json: AsJson = False) -> None:
    """Print a new link by which an account's owner sets a password within the hour."""
    with connected(context) as client:
        show_link(client.post(f"/users/{id_of(client, account)}/link"), as_json=as_json)


@user.command("sign-out")
@examples("astralytiq user sign-out ada")
def sign_out(context: typer.Context, account: str) -> None:
    """End all sessions of an account."""
    with connected(context) as client:
        client.delete(f"/users/{id_of(client, account)}/sessions")
        typer.echo(f"{account} was signed out everywhere.")


@user.command("remove")
@examples("astralytiq user remove ada --yes")
def remove_user(
    context: typer.Context, account: str, yes: Annotated[bool, typer.Option("--yes")] = False
) -> None:
    """Erase an account. What it made stays, under a pseudonym."""
    if not yes:
        typer.confirm(f"Erase the account {account}? This cannot be undone.", abort=True)
    with connected(context) as client:
        client.delete(f"/users/{id_of(client, account)}")
        typer.echo(f"erased {account}")


@user.command("export")
@examples("astralytiq user export --output me.zip")
def export_own(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="The ZIP file to write.")] = Path("me.zip"),
) -> None:
    """Write all that is held on you into a file that only you may read."""
    with connected(context) as client, client.stream("/users/me/export") as chunks:
        output.touch(mode=0o600)
        with output.open("wb") as file:
            file.writelines(chunks)
    typer.echo(f"wrote {output}")


@user.command("erase-me")
@examples("astralytiq user erase-me\nastralytiq user erase-me --yes")
def erase_own(context: typer.Context, yes: Annotated[bool, typer.Option("--yes")] = False) -> None:
    """Erase your own account. What you made stays, under a pseudonym."""
    with connected(context) as client:
        name = client.get("/users/me")["email"]
        if not yes:
            typer.confirm(f"Erase your account {name}? This cannot be undone.", abort=True)
        client.delete("/users/me")
        typer.echo(f"erased {name}")


@key.command("list")
@examples("astralytiq key list")
def list_keys(context: typer.Context, as_json: AsJson = False) -> None:
    """List your API keys."""
    with connected(context) as client:
        show(client.every("/api-keys"), KEY_COLUMNS, as_json=as_json)


@key.command("add")
@examples("astralytiq key add gateway --scope data:read --scope models:predict")
def add_key(
    context: typer.Context,
    name: str,
    scope: Annotated[list[str], typer.Option(help="What it may do (repeat).")],
    expires_at: Annotated[str, typer.Option(help="such as 2027-01-31T00:00:00Z")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an API key; it is shown this once."""
    body: dict[str, Any] = {"name": name, "scopes": scope}
    if expires_at:
        body["expires_at"] = expires_at
    with connected(context) as client:
        show_one(client.post("/api-keys", json=body), as_json=as_json)


@key.command("remove")
@examples("astralytiq key remove 7")
def remove_key(context: typer.Context, key_id: int) -> None:
    """Revoke an API key at once."""
    with connected(context) as client:
        client.delete(f"/api-keys/{key_id}")
        typer.echo(f"revoked key {key_id}")
