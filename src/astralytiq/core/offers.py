"""What a room offers to those that may not name it: counts, figures of the platform, what happens
to its things when a project or a person goes, and all that it holds on a person.

A room registers an async function under its own name, in a module that `wiring.load_offers` loads.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import Base
from astralytiq.core.security import Actor

AT_ONCE = 200  # rows of a person's export that are in memory

Offer = TypeVar("Offer", bound=Callable[..., Awaitable[object]])


class Fate(StrEnum):
    """What becomes of a project's resources when it goes."""

    detach = "detach"
    delete = "delete"


@dataclass(frozen=True)
class Scope:
    """Whose things are counted: those that `actor` may read; `changed` counts from `since` on."""

    actor: Actor
    since: datetime


@dataclass(frozen=True)
class Erasure:
    """Whose account is erased: the number stays, the e-mail gives way to the pseudonym."""

    user_id: int
    email: str
    pseudonym: str


Rows = AsyncIterator[dict[str, Any]]
Count = Callable[[AsyncSession, Scope], Awaitable[dict[str, int]]]
OnProjectDeleted = Callable[[AsyncSession, int, Fate], Awaitable[int]]
RowsOf = Callable[[AsyncSession, int], Rows]
OnAccountErased = Callable[[AsyncSession, Erasure], Awaitable[int]]


@dataclass(frozen=True)
class PersonalData:
    """One file of a person's export: what it is, in words, and its rows."""

    about: str
    rows_of: RowsOf


Measure = Callable[[AsyncSession], Awaitable[float | None]]


@dataclass(frozen=True)
class Figure:
    """A figure of the platform as it is now, by the name that widgets, rules and scrapers use.

    `measure` is one quick query, and answers None where there is nothing to measure yet.
    """

    about: str
    unit: str  # "", "percent", "seconds", "bytes"
    measure: Measure


Values = dict[tuple[str, ...], float]
Read = Callable[[AsyncSession], Awaitable[Values]]


@dataclass(frozen=True)
class Breakdown:
    """A figure for each combination of its labels, for scrapers; `read` is one quick query.

    One that only `grows` is a count since the beginning: how fast it does, the scraper works out.
    """

    about: str
    labels: tuple[str, ...]
    read: Read
    grows: bool = False


COUNTS: dict[str, Count] = {}
FIGURES: dict[str, Figure] = {}
BREAKDOWNS: dict[str, Breakdown] = {}
ON_PROJECT_DELETED: dict[str, OnProjectDeleted] = {}
PERSONAL_DATA: dict[str, PersonalData] = {}
ON_ACCOUNT_ERASED: dict[str, OnAccountErased] = {}


def counts(name: str) -> Callable[[Count], Count]:
    """Offer numbers by name, `total` and `changed` among them."""
    return registering(COUNTS, name)


def figure(name: str, about: str, unit: str = "") -> Callable[[Measure], Measure]:
    """Offer a figure of the platform, measured anew for each who asks."""

    def register(measure: Measure) -> Measure:
        if name in FIGURES:
            raise ValueError(f"Two figures are named {name!r}.")
        FIGURES[name] = Figure(about, unit, measure)
        return measure

    return register


def breakdown(name: str, about: str, *labels: str, grows: bool = False) -> Callable[[Read], Read]:
    """Offer a figure by labels, whose values are few: kinds and names, never numbers."""

    def register(read: Read) -> Read:
        if name in BREAKDOWNS:
            raise ValueError(f"Two breakdowns are named {name!r}.")
        BREAKDOWNS[name] = Breakdown(about, labels, read, grows)
        return read

    return register


async def measure_all(session: AsyncSession) -> dict[str, float | None]:
    return {name: await figure.measure(session) for name, figure in FIGURES.items()}


def project_deleted(name: str) -> Callable[[OnProjectDeleted], OnProjectDeleted]:
    """Offer to detach or delete what belongs to a project; answers how many things that were."""
    return registering(ON_PROJECT_DELETED, name)


def personal_data(name: str, about: str) -> Callable[[RowsOf], RowsOf]:
    """Offer all that the room holds on an account, a page at a time: no hash, token or secret."""

    def register(rows_of: RowsOf) -> RowsOf:
        if name in PERSONAL_DATA:
            raise ValueError(f"Two offers are named {name!r}.")
        PERSONAL_DATA[name] = PersonalData(about, rows_of)
        return rows_of

    return register


def account_erased(name: str) -> Callable[[OnAccountErased], OnAccountErased]:
    """Offer to remove what names the person; answers how many rows that were."""
    return registering(ON_ACCOUNT_ERASED, name)


def registering(registry: dict[str, Offer], name: str) -> Callable[[Offer], Offer]:
    def register(offer: Offer) -> Offer:
        if name in registry:
            raise ValueError(f"Two offers are named {name!r}.")
        registry[name] = offer
        return offer

    return register


async def count_all(session: AsyncSession, scope: Scope) -> dict[str, dict[str, int]]:
    """Each room's numbers, by its name."""
    return {name: await count(session, scope) for name, count in COUNTS.items()}


async def delete_project(session: AsyncSession, project_id: int, fate: Fate) -> dict[str, int]:
    """Let every room settle what belongs to the project, in the transaction of its end."""
    return {
        name: await settle(session, project_id, fate) for name, settle in ON_PROJECT_DELETED.items()
    }


async def erase_account(session: AsyncSession, erasure: Erasure) -> dict[str, int]:
    """Let every room forget the person, in the transaction of the erasure."""
    return {name: await forget(session, erasure) for name, forget in ON_ACCOUNT_ERASED.items()}


# Rows of an export ------------------------------------------------------------------------------


async def streamed(session: AsyncSession, query: Executable, at_once: int = AT_ONCE) -> Rows:
    """The rows of `query` as the database gives them, `at_once` in memory."""
    found = await session.stream(query.execution_options(yield_per=at_once))
    async for page in found.mappings().partitions():
        for row in page:
            yield dict(row)


def columns_of(table: type[Base], *but: str) -> list[Any]:
    """The columns of `table`, without those named in `but`."""
    return [column for column in table.__table__.columns if column.name not in but]
