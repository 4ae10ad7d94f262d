"""Commands for where sources stand."""

import typer

from astralytiq.terminal import AsJson, connected, examples, show_one

from .runs import etl


@etl.command("checkpoint")
@examples("astralytiq etl checkpoint orders")
def show_checkpoint(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show up to where a source has been read.

    With a cursor field: up to which of its values everything was read.
    """
    with connected(context) as client:
        show_one(client.get(f"/etl/checkpoints/{name}"), as_json=as_json)


@etl.command("rewind")
@examples("astralytiq etl rewind orders")
def rewind_source(context: typer.Context, name: str) -> None:
    """Let the next run read everything again.

    Nothing is stored twice by it.
    """
    with connected(context) as client:
        client.delete(f"/etl/checkpoints/{name}")
        typer.echo(f"rewound {name}: its next run reads from the start")
