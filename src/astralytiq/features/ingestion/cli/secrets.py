"""Commands for the secrets that sources refer to. A value is typed or piped in, never an argument:
others on the machine can read those.
"""

import sys

import typer

from astralytiq.terminal import BAD_INPUT, AsJson, connected, examples, fail, group, show, show_one

secret = group("secret", "Secrets that sources refer to as secret:NAME.")

COLUMNS = ("name", "sources", "created_at", "updated_at", "updated_by")


@secret.command("list")
@examples("astralytiq secret list")
def list_secrets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the secrets by name, and which sources refer to them."""
    with connected(context) as client:
        show(client.every("/secrets"), COLUMNS, as_json=as_json)


@secret.command("set")
@examples(
    """
    astralytiq secret set shop-key
    astralytiq secret set shop-key < key.txt
    """
)
def set_secret(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Keep a secret, or give it another value; asks for it, or reads it from the input."""
    value = typed(name) if sys.stdin.isatty() else sys.stdin.read().strip()
    if not value:
        fail("The value is empty: type it, or pipe it in.", BAD_INPUT)
    with connected(context) as client:
        show_one(client.put(f"/secrets/{name}", json={"value": value}), as_json=as_json)


def typed(name: str) -> str:
    value: str = typer.prompt(f"Value of {name}", hide_input=True, err=True)
    return value.strip()


@secret.command("remove")
@examples("astralytiq secret remove shop-key")
def remove_secret(context: typer.Context, name: str) -> None:
    """Forget a secret that no source refers to."""
    with connected(context) as client:
        client.delete(f"/secrets/{name}")
        typer.echo(f"removed {name}")
