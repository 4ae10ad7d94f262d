"""Reading the audit trail: which entries match, and whether they are all as they were written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    String,
    Text,
    and_,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.audit import GENESIS, AuditActor, AuditEntry, AuditHead
from astralytiq.core.db import Database

BATCH = 1000
DIGITS = 19  # of a number that every database can hold
NOBODY = ("system", "anonymous")  # actors without an account
LAST_LETTER = "\U0010ffff"

Condition = ColumnElement[bool]
EntryRow = Row[Any]

SHOWN = (
    AuditEntry.id.label("sequence"),
    AuditEntry.created_at,
    AuditEntry.actor_id,
    AuditActor.name.label("actor_name"),
    AuditEntry.via,
    AuditEntry.action,
    AuditEntry.resource,
    AuditEntry.outcome,
    AuditEntry.address,
    AuditEntry.address_digest,
    AuditEntry.request_id,
    AuditEntry.details,
    AuditEntry.previous_hash,
    AuditEntry.hash,
)


@dataclass(frozen=True)
class Filters:
    """Which entries; what is None narrows nothing."""

    actor: str | None = None
    action: str | None = None
    resource: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def matching(session: AsyncSession, filters: Filters) -> list[Condition]:
    found: list[Condition] = []
    if filters.actor is not None:
        found.append(await is_actor(session, filters.actor))
    if filters.action:
        found.append(starts_with(AuditEntry.action, filters.action))
    if filters.resource is not None:
        is_folder = filters.resource.endswith("/")
        same = AuditEntry.resource == filters.resource
        found.append(starts_with(AuditEntry.resource, filters.resource) if is_folder else same)
    if filters.outcome is not None:
        found.append(AuditEntry.outcome == filters.outcome)
    if filters.since is not None:
        found.append(AuditEntry.created_at >= filters.since)
    if filters.until is not None:
        found.append(AuditEntry.created_at < filters.until)
    return found


async def is_actor(session: AsyncSession, actor: str) -> Condition:
    """An account's number, the name it went by last, or system or anonymous."""
    if actor in NOBODY:
        return AuditEntry.actor_id.is_(None) & (AuditEntry.via == actor)
    if actor.isascii() and actor.isdigit() and len(actor) < DIGITS:
        return AuditEntry.actor_id == int(actor)
    named = select(AuditActor.actor_id).where(func.lower(AuditActor.name) == actor.lower())
    return AuditEntry.actor_id.in_((await session.scalars(named)).all())


def starts_with(column: Any, beginning: str) -> Condition:
    """As a range, which every index serves; LIKE is served by some."""
    first, last = literal(beginning, String), literal(beginning + LAST_LETTER, String)
    return and_(column >= first, column <= last)


async def end_of_chain(session: AsyncSession) -> int:
    return await session.scalar(select(AuditHead.sequence)) or 0


async def count(session: AsyncSession, conditions: Sequence[Condition], before: int) -> int:
    if not conditions:  # No number is missing in a whole chain, and `verify` names one that is.
        return min(before - 1, await end_of_chain(session))
    query = select(func.count()).select_from(AuditEntry)
    return await session.scalar(query.where(AuditEntry.id < before, *conditions)) or 0


def entries() -> Select[Any]:
    return select(*SHOWN).outerjoin(AuditActor, AuditActor.actor_id == AuditEntry.actor_id)


async def newest(
    session: AsyncSession, conditions: Sequence[Condition], before: int, limit: int, offset: int
) -> Sequence[EntryRow]:
    """Their numbers first, from an index: only the rows of the page are read."""
    numbers = select(AuditEntry.id).where(AuditEntry.id < before, *conditions)
    page = numbers.order_by(AuditEntry.id.desc()).limit(limit).offset(offset).subquery()
    query = entries().join(page, page.c.id == AuditEntry.id).order_by(AuditEntry.id.desc())
    found: Sequence[EntryRow] = (await session.execute(query)).all()
    return found


async def oldest(
    session: AsyncSession, conditions: Sequence[Condition], after: int, before: int
) -> Sequence[EntryRow]:
    """The next batch of an export, in the order of the chain."""
    query = entries().where(AuditEntry.id > after, AuditEntry.id < before, *conditions)
    query = query.order_by(AuditEntry.id).limit(BATCH)
    found: Sequence[EntryRow] = (await session.execute(query)).all()
    return found


# Verifying --------------------------------------------------------------------------------------


# Without the types of the columns: they raise at values that nobody of ours has written.
AS_STORED = tuple(
    type_coerce(column, Text).label(column.name)
    if column.name in ("created_at", "details")
    else column
    for column in AuditEntry.__table__.columns
)


@dataclass(frozen=True)
class Link:
    sequence: int
    hash: str


@dataclass(frozen=True)
class Fault:
    """The first row that does not fit, and why."""

    sequence: int
    reason: str


@dataclass(frozen=True)
class Verdict:
    rows: int
    first_fault: Fault | None
    head: Link | None

    @property
    def ok(self) -> bool:
        return self.first_fault is None


async def verify(database: Database, expected: Link | None = None) -> Verdict:
    """Follow the chain from its first row to its recorded end.

    Whoever may write to the database can rewrite all of the chain and its end: that is found only
    by `expected`, an end that was noted elsewhere.
    """
    async with database.reading() as session:
        found = (await session.execute(select(AuditHead.sequence, AuditHead.hash))).one_or_none()
    if found is None:
        return Verdict(0, Fault(0, "the recorded end of the chain is missing"), None)
    head = Link(*found)
    last, fault = await follow(database, head, expected)
    fault = fault or at_the_end(last, head, expected) or await behind(database)
    return Verdict(last.sequence, fault, head)


async def follow(
    database: Database, head: Link, expected: Link | None
) -> tuple[Link, Fault | None]:
    """The last row that fits, and what is wrong with the next one."""
    last = Link(0, GENESIS)
    while batch := await batch_after(database, last.sequence, head.sequence):
        for row in batch:
            if fault := fault_of(row, last, expected):
                return last, fault
            last = Link(row.id, row.hash)
    return last, None


async def batch_after(database: Database, after: int, until: int) -> Sequence[EntryRow]:
    query = select(*AS_STORED).where(AuditEntry.id <= until)
    if after:  # The first batch shows also numbers below the first one: none should be there.
        query = query.where(AuditEntry.id > after)
    async with database.reading() as session:
        return (await session.execute(query.order_by(AuditEntry.id).limit(BATCH))).all()


def fault_of(row: EntryRow, last: Link, expected: Link | None) -> Fault | None:
    due = last.sequence + 1
    if row.id != due:
        gap = Fault(due, f"it is missing: the next row is {row.id}")
        return gap if row.id > due else Fault(row.id, "no row has such a number")
    if row.previous_hash != last.hash:
        return Fault(due, "it does not follow the row before it: one of them was changed or moved")
    if row.hash != digest_of(row):
        return Fault(due, "it was altered: its hash is not that of what it says")
    if row.address and audit.address_digest(row.address, row.address_salt) != row.address_digest:
        return Fault(due, "its address was altered")
    if expected and expected.sequence == due and expected.hash != row.hash:
        return Fault(due, "its hash is not the expected one: the chain was rewritten up to here")
    return None


def digest_of(row: EntryRow) -> str | None:
    """None if what is stored is not even readable."""
    stored: dict[str, Any] = dict(row._mapping)
    try:
        stored["details"] = msgspec.json.decode(stored["details"])
        if isinstance(stored["created_at"], str):  # SQLite
            stored["created_at"] = datetime.fromisoformat(stored["created_at"]).replace(tzinfo=UTC)
        return audit.digest(stored)
    except (ValueError, TypeError, msgspec.MsgspecError):
        return None


def at_the_end(last: Link, head: Link, expected: Link | None) -> Fault | None:
    if last.sequence < head.sequence:
        return Fault(last.sequence + 1, f"it is missing: the chain goes on to row {head.sequence}")
    if last != head:
        return Fault(last.sequence, "its hash is not the one recorded as the end of the chain")
    if expected and expected.sequence > head.sequence:
        words = f"it is missing: the chain is expected to reach row {expected.sequence}"
        return Fault(head.sequence + 1, words)
    return None


async def behind(database: Database) -> Fault | None:
    """One statement sees one moment: no row may stand behind the end of that moment."""
    end = select(AuditHead.sequence).scalar_subquery()
    async with database.reading() as session:
        first = await session.scalar(select(func.min(AuditEntry.id)).where(AuditEntry.id > end))
    return None if first is None else Fault(first, "it stands behind the end of the chain")
