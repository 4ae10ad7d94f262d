"""What every command shares: its connection, tables or JSON, progress, and errors in one line."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from astralytiq.client import Client, ClientError

FAILURE, BAD_INPUT = 1, 2
SHORT = 40  # characters, up to which a cell of a table is never broken: ids are there to be copied
FRACTION = re.compile(r"(T\d\d:\d\d:\d\d)\.\d+(?=Z$)")  # of a second, which a table leaves out
CORRECT = "Correct and send again: "
SIGN_IN = "Then: export ASTRALYTIQ_TOKEN=$(astralytiq user login EMAIL)"

Command = TypeVar("Command", bound=Callable[..., Any])
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="So many at most.")]


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
        fail(worded(error), BAD_INPUT if error.is_bad_input else FAILURE)


def worded(error: "ClientError") -> str:
    """The server's words, with what concerns those who speak HTTP put for those who type."""
    if error.faults and error.detail.startswith(CORRECT):
        return "; ".join(
            ": ".join(filter(None, (".".join(map(str, fault["loc"][1:])), fault["msg"])))
            for fault in error.faults
        )
    return f"{error.detail} {SIGN_IN}" if error.status == 401 else error.detail


def fail(message: str, code: int = FAILURE) -> NoReturn:
    sys.stderr.write(f"astralytiq: {printable(' '.join(message.split()))}\n")
    raise typer.Exit(code)


def show(
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    *,
    as_json: bool,
    theirs: bool = False,
    total: int | None = None,
) -> None:
    """A table of `columns`, or all of the rows as JSON; `theirs`: the names are people's own.

    `total`: how many there are, of which the rows may be the first only; then that is said.
    """
    if total is not None and len(rows) < total:
        sys.stderr.write(f"{len(rows):,} of {total:,}: --limit shows others\n")
    if as_json:
        show_json(rows)
        return
    from rich.console import Console  # noqa: PLC0415 - --help draws no table of ours

    if not rows:
        Console().print("[dim]nothing yet[/dim]")
        return
    titles = columns if theirs else [column.replace("_", " ") for column in columns]
    table, least = drawn(rows, columns, titles)
    # A pipe has no width: nothing is cut for it. Nor is an id for a narrow screen.
    width = max(least, Console().width) if sys.stdout.isatty() else 10_000
    Console(width=width, soft_wrap=True).print(table)


def drawn(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], titles: Sequence[str]
) -> "tuple[Table, int]":
    """The table, and the least width in which all that is short stands in one line."""
    from rich.table import Table  # noqa: PLC0415 - --help draws no table of ours
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False)
    least = 0
    for column, title in zip(columns, titles, strict=True):
        values = [row.get(column) for row in rows]
        widest = max(len(text) for text in (title, *map(brief, values)))
        least += min(widest, SHORT) + 2
        table.add_column(
            Text(title),
            overflow="fold",
            no_wrap=widest <= SHORT,
            justify="right" if are_numbers(values) else "left",
        )
    for row in rows:
        # As Text: what stands in a record is no markup.
        table.add_row(*(Text(brief(row.get(column))) for column in columns))
    return table, least


def are_numbers(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(type(value) in (int, float) for value in known)


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
    nested = isinstance(value, (dict, list))
    return printable(json.dumps(value, ensure_ascii=False) if nested else str(value))


def brief(value: Any) -> str:
    return FRACTION.sub(r"\1", cell(value))


def printable(text: str) -> str:
    """What a source sends could move the cursor, clear the screen or name the window."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def follow(client: "Client", job_id: str, title: str) -> dict[str, Any]:
    """Wait for a job, with a progress bar on standard error if somebody looks at it."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    hidden = not sys.stderr.isatty()
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden)
    task = bar.add_task(title, total=None)

    def watch(job: dict[str, Any]) -> None:
        phase = printable(job["message"] or job["phase"] or job["status"])
        # Nobody knows how many pages an API has: then the bar only shows that something happens.
        known = 1.0 if job["progress"] else None
        bar.update(task, completed=job["progress"], total=known, description=f"{title}: {phase}")

    try:
        with bar:
            return client.wait(job_id, watch)
    except KeyboardInterrupt:
        sys.stderr.write(
            f"astralytiq: the {title} was left, not stopped: the server (without one, the next "
            f"command) goes on with it. To wait again: astralytiq job follow {job_id}. "
            f"To stop it: astralytiq job cancel {job_id}\n"
        )
        raise


def examples(text: str) -> Callable[[Command], Command]:
    """Add lines of example to a command's help."""

    def add(command: Command) -> Command:
        lines = "\n".join(f"    $ {line.strip()}" for line in text.strip().splitlines())
        # After \b nothing is wrapped: what is broken in two cannot be pasted.
        # Dedented first: beside lines without an indent nobody else would do it.
        told = cleandoc(command.__doc__ or "")
        command.__doc__ = f"{told}\n\n\b\nExamples:\n{lines}"
        return command

    return add
