"""What every command shares: its connection, tables or JSON, progress, and errors in one line."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from astralytiq.client import Client

FAILURE, BAD_INPUT = 1, 2

Command = TypeVar("Command", bound=Callable[..., Any])
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@dataclass(frozen=True)
class Connection:
    """How this command reaches the API: over the network, or in this process."""

    open: Callable[[], AbstractContextManager["Client"]]


def group(name: str, help_text: str) -> typer.Typer:
    return typer.Typer(name=name, help=help_text, no_args_is_help=True)


@contextmanager
def connected(context: typer.Context) -> Iterator["Client"]:
    """The client of this command; what the server refuses becomes one line and an exit code."""
    from astralytiq.client import ClientError  # noqa: PLC0415 - --help needs no HTTP

    connection: Connection = context.obj
    try:
        with connection.open() as client:
            yield client
    except ClientError as error:
        fail(error.detail, BAD_INPUT if error.is_bad_input else FAILURE)


def fail(message: str, code: int = FAILURE) -> NoReturn:
    sys.stderr.write(f"astralytiq: {' '.join(message.split())}\n")
    raise typer.Exit(code)


def show(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """A table of `columns`, or all of the rows as JSON."""
    if as_json:
        show_json(rows)
        return
    from rich.console import Console  # noqa: PLC0415 - --help draws no table of ours
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    # A pipe has no width: nothing is cut for it.
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    console.print(table if rows else "[dim]nothing yet[/dim]")


def show_one(item: dict[str, Any], *, as_json: bool) -> None:
    """Name and value, a line each."""
    if as_json:
        show_json(item)
        return
    width = max(map(len, item), default=0)
    for name, value in item.items():
        sys.stdout.write(f"{name:<{width}}  {cell(value)}\n")


def show_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def follow(client: "Client", job_id: str, title: str) -> dict[str, Any]:
    """Wait for a job, with a progress bar on standard error."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=1.0)

        def watch(job: dict[str, Any]) -> None:
            phase = job["phase"] or job["status"]
            progress.update(task, completed=job["progress"], description=f"{title}: {phase}")

        return client.wait(job_id, watch)


def examples(text: str) -> Callable[[Command], Command]:
    """Add lines of example to a command's help."""

    def add(command: Command) -> Command:
        lines = "\n\n".join(f"    $ {line.strip()}" for line in text.strip().splitlines())
        command.__doc__ = f"{command.__doc__}\n\nExamples:\n\n{lines}"
        return command

    return add
