"""The command line: runs the house, and speaks to it. Imports nothing heavy before it must."""
# ruff: noqa: PLC0415 - the web framework and the database take more than a second to import

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astralytiq import __version__, commands
from astralytiq.terminal import BAD_INPUT, FAILURE, AsJson, Connection, examples, fail, show

if TYPE_CHECKING:
    from astralytiq.client import Client
    from astralytiq.core.settings import Settings

app = typer.Typer(
    name="astralytiq",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="AstralytiQ: ingest, version, train, serve and watch, in one install.",
)
for group in commands.GROUPS:
    app.add_typer(group)
for name, group in commands.EARLIER.items():
    app.add_typer(group, name=name, hidden=True)

Home = Annotated[Path | None, typer.Option(help="The home folder (default: ./astralytiq-home).")]
Host = Annotated[str | None, typer.Option(help="The address to listen on (default: 127.0.0.1).")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="0 picks a free one (default: 8000).")
]


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"astralytiq {__version__}")
        raise typer.Exit


@app.callback()
def connect(
    context: typer.Context,
    server: Annotated[
        str, typer.Option(envvar="ASTRALYTIQ_SERVER", help="Work on this server, not on a home.")
    ] = "",
    token: Annotated[
        str, typer.Option(envvar="ASTRALYTIQ_TOKEN", help="Access token for --server.")
    ] = "",
    home: Home = None,
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Commands work on the local home folder, or with --server and --token on a server."""
    if home is not None:
        os.environ["ASTRALYTIQ_HOME"] = str(home)  # For `up` and its like too.
    if server and not server.lower().startswith(("http://", "https://")):
        fail(f"--server needs a whole address, such as http://{server}", BAD_INPUT)
    context.obj = Connection(opener(server, token, home))


def opener(
    server: str, token: str, home: Path | None
) -> "Callable[[], AbstractContextManager[Client]]":
    def open_client() -> "AbstractContextManager[Client]":
        if server:
            from astralytiq.client import Client

            return Client(server, token or None)
        from astralytiq import local
        from astralytiq.core import logging

        logging.configure("ERROR")
        return local.opened(settings_for(home))

    return open_client


def settings_for(
    home: Path | None = None, host: str | None = None, port: int | None = None
) -> "Settings":
    """Options win over the environment. Children see them too, through the environment."""
    for name, value in (("HOME", home), ("HOST", host), ("PORT", port)):
        if value is not None:
            os.environ[f"ASTRALYTIQ_{name}"] = str(value)
    from pydantic import ValidationError

    from astralytiq.core.settings import Settings, UnsafeSettings

    try:
        return Settings().checked()
    except UnsafeSettings as error:
        sys.stderr.write(f"astralytiq: {error}\n")
        raise typer.Exit(BAD_INPUT) from None
    except ValidationError as error:
        named = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        fail(f"These settings do not fit: {named}", BAD_INPUT)


def serve(
    settings: "Settings", *, demo: bool = False, empty: bool = False, api: bool = False
) -> None:
    from astralytiq import serve
    from astralytiq.home import HomeError

    try:
        if api:
            serve.serve_api(settings)
        else:
            serve.serve_embedded(settings, demo=demo, empty=empty)
    except (HomeError, serve.ServeError) as error:
        fail(str(error), FAILURE)


@app.command()
@examples("astralytiq up\nastralytiq up --port 9000 --home /srv/astralytiq")
def up(
    host: Host = None,
    port: Port = None,
    home: Home = None,
    empty: Annotated[bool, typer.Option("--empty", help="Leave out the sample source.")] = False,
) -> None:
    """Start everything in one process tree: API, workers, schedules."""
    serve(settings_for(home, host, port), empty=empty)


@app.command()
@examples("astralytiq demo --port 9000\nastralytiq demo --empty --home tryout")
def demo(
    host: Host = None,
    port: Port = None,
    home: Home = None,
    empty: Annotated[bool, typer.Option("--empty", help="Leave out the example content.")] = False,
) -> None:
    """Start everything with example content (once per home) and the three demo accounts."""
    serve(settings_for(home, host, port), demo=True, empty=empty)


@app.command()
@examples("astralytiq api --port 9000")
def api(host: Host = None, port: Port = None, home: Home = None) -> None:
    """Start the API alone (workers and scheduler run elsewhere)."""
    serve(settings_for(home, host, port), api=True)


@app.command()
@examples("astralytiq worker --home /srv/astralytiq")
def worker(home: Home = None) -> None:
    """Run jobs until told to stop."""
    settings_for(home)
    from astralytiq.worker import main as run_worker

    run_worker([])


@app.command()
@examples("astralytiq scheduler --home /srv/astralytiq")
def scheduler(home: Home = None) -> None:
    """Queue what is due and take back dead leases, until told to stop."""
    import asyncio

    from astralytiq import home as homes
    from astralytiq.core import logging, scheduler
    from astralytiq.core.resources import opened

    settings = settings_for(home)
    logging.configure(settings.log_level)

    async def run() -> None:
        async with opened(settings) as resources:
            await homes.refuse_unmigrated(resources)
            await homes.refuse_other_storage(resources)
            await scheduler.run_forever(resources)

    try:
        with homes.worded(settings):
            asyncio.run(run())
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except homes.HomeError as error:
        fail(str(error), FAILURE)


@app.command()
@examples("astralytiq migrate\nastralytiq migrate --down 0001")
def migrate(
    home: Home = None,
    down: Annotated[str, typer.Option(help="Go back to this revision ('base': to nothing).")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before going back.")] = False,
) -> None:
    """Bring the database up to date, or take it back. An SQLite file is copied first."""
    from astralytiq import home as homes
    from astralytiq import migrations

    settings = settings_for(home)
    try:
        homes.prepare(settings)
        if not down:
            changed = homes.migrate_now(settings)
            typer.echo(f"The database is at {migrations.head()}{'' if changed else ' already'}.")
            return
        if not yes:
            typer.confirm(f"Going back to {down} drops tables and their rows. Go on?", abort=True)
        if copy := homes.go_back(settings, down):
            typer.echo(f"A copy of the database as it was: {copy}")
        typer.echo(f"The database is at {down}.")
    except homes.HomeError as error:
        fail(str(error), FAILURE)


@app.command()
@examples("astralytiq doctor\nastralytiq doctor --json")
def doctor(home: Home = None, as_json: AsJson = False) -> None:
    """Look at everything a home depends on, and say what to do. It changes nothing."""
    import asyncio
    from dataclasses import asdict

    from astralytiq.core import logging
    from astralytiq.doctor import Verdict, examine

    settings = settings_for(home)
    logging.configure("ERROR")
    found = asyncio.run(examine(settings))
    show([asdict(one) for one in found], ("check", "verdict", "detail"), as_json=as_json)
    if any(one.verdict is Verdict.wrong for one in found):
        raise typer.Exit(FAILURE)


@app.command()
@examples("astralytiq openapi > openapi.json")
def openapi(home: Home = None) -> None:
    """Print the OpenAPI document."""
    import json

    from astralytiq.app import create_app

    typer.echo(json.dumps(create_app(settings_for(home)).openapi(), indent=2))


def main() -> None:
    app()


if __name__ == "__main__":
    main()
