"""Who did what to which thing: one row per change, in the transaction of the change.

The rows are a chain: each holds the hash of the one before it, so that a row altered, removed or
put between others is found (`features/history`). The database refuses to change or delete rows.

No hash covers what says who somebody is. A name stands in a table of its own; of an address the
chain holds a salted digest. Both can be cleared (`forget`), and the chain still holds.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Dialect,
    Index,
    String,
    Text,
    TypeDecorator,
    and_,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, BigId, utc_now
from astralytiq.core.logging import client_address, redact, request_id
from astralytiq.core.security import Actor

GENESIS = "0" * 64  # what the first row follows
LONGEST = 500
HASHED = (
    "created_at",
    "actor_id",
    "via",
    "action",
    "resource",
    "outcome",
    "address_digest",
    "request_id",
    "details",
    "previous_hash",
)

FILTERED = ("actor_id", "action", "resource", "outcome", "via", "created_at")

# Sorted byte by byte on every database, so that an index finds the beginnings of words.
Word = String().with_variant(String(collation="C"), "postgresql")


def canonical(value: Any) -> bytes:
    """The one way to write a value: JSON in UTF-8 with sorted keys, no spaces, times in UTC."""
    return msgspec.json.encode(value, order="sorted")


class CanonicalJson(TypeDecorator[dict[str, Any]]):
    """Stored as text: PostgreSQL's JSONB would write numbers anew, and their hash would differ."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else msgspec.json.decode(value)


class AuditEntry(Base):
    __tablename__ = "audit_entries"

    # The sequence number: no number is missing, and none comes from the database.
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    created_at: Mapped[datetime]
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    via: Mapped[str]
    action: Mapped[str] = mapped_column(Word)
    resource: Mapped[str] = mapped_column(Word)
    outcome: Mapped[str]
    address: Mapped[str | None]
    address_salt: Mapped[str | None]
    address_digest: Mapped[str | None]
    request_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(CanonicalJson)
    previous_hash: Mapped[str]
    hash: Mapped[str]

    # Each holds all that filters ask for: no count and no page looks at more rows than it shows.
    __table_args__ = (
        Index("ix_audit_entries_created_at", "created_at", "id"),
        *(
            Index(f"ix_audit_entries_{first}", first, "id", *(n for n in FILTERED if n != first))
            for first in FILTERED[:4]
        ),
    )


class AuditHead(Base):
    """Where the chain ends: one row. Rows removed from the end are missed by it alone."""

    __tablename__ = "audit_head"
    __table_args__ = (CheckConstraint("id = 1", name="ck_audit_head_one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str]


class AuditActor(Base):
    """The name an actor went by last; without one, who it was is forgotten for good."""

    __tablename__ = "audit_actors"

    actor_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    name: Mapped[str | None]


@dataclass
class Waiting:
    """What a transaction adds to the trail when it commits."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    forgotten: set[int] = field(default_factory=set)


def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    resource: str,
    *,
    outcome: str = "ok",
    **details: Any,
) -> None:
    """`action` reads "dataset.created", `resource` "dataset/7".

    `details` hold no secret, and no name or address of a person: they stay for ever.
    """
    waiting = waiting_in(session)
    if actor.id is not None:
        waiting.names[actor.id] = on_one_line(actor.name)
    waiting.entries.append(
        {
            "actor_id": actor.id,
            "via": on_one_line(actor.via.partition(":")[0]),  # "local:ada" names a person
            "action": on_one_line(action),
            "resource": on_one_line(resource),
            "outcome": on_one_line(outcome),
            "request_id": request_id.get(),
            "details": settled(details),
            "address": client_address.get(),
        }
    )


def forget(session: AsyncSession, actor_id: int) -> None:
    """Clear an actor's name and addresses, also those that this transaction would still write."""
    waiting_in(session).forgotten.add(actor_id)


def waiting_in(session: AsyncSession) -> Waiting:
    found: Waiting | None = session.info.get("audit")
    if found is None:
        found = session.info["audit"] = Waiting()
        # Before the outbox, whichever was asked first: two locks are always taken in one order.
        session.info.setdefault("before_commit", []).insert(0, lambda: append(session))
    return found


def settled(details: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = redact(msgspec.to_builtins(details, str_keys=True, enc_hook=str))
    kept: dict[str, Any] = lined(plain)
    return kept


def lined(value: Any) -> Any:
    if isinstance(value, str):
        return on_one_line(value)
    if isinstance(value, dict):
        return {on_one_line(key): lined(item) for key, item in value.items()}
    return [lined(item) for item in value] if isinstance(value, list) else value


def on_one_line(text: str) -> str:
    """Nothing in it begins a line, hides, or turns the reading around."""
    if text.isprintable():
        return str(text[:LONGEST])
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)[:LONGEST]


# The chain --------------------------------------------------------------------------------------


async def append(session: AsyncSession) -> None:
    """The last statements of the transaction: whoever locks the head is alone until the commit.

    The row lock serialises writers on PostgreSQL, the write lock on SQLite.
    """
    waiting: Waiting = session.info.pop("audit")
    await session.flush()  # Slow statements come before the lock.
    query = select(AuditHead.sequence, AuditHead.hash).with_for_update()
    sequence, last = (await session.execute(query)).one()
    forgotten = await remember_names(session, waiting)
    if waiting.entries:
        rows = chained(waiting.entries, sequence, last, forgotten)
        await session.execute(insert(AuditEntry), rows)
        await session.execute(
            update(AuditHead).values(sequence=rows[-1]["id"], hash=rows[-1]["hash"])
        )
    if waiting.forgotten:
        await clear_addresses(session, waiting.forgotten)


def chained(
    entries: list[dict[str, Any]], sequence: int, last: str, forgotten: set[int]
) -> list[dict[str, Any]]:
    """The entries as rows that follow the row `sequence`, whose hash is `last`."""
    now, rows = utc_now(), []
    for number, entry in enumerate(entries, sequence + 1):
        address = None if entry["actor_id"] in forgotten else entry["address"]
        salt = secrets.token_hex(16) if address else None
        row = {"created_at": now} | entry | {"id": number, "previous_hash": last}
        row |= {"address": address, "address_salt": salt}
        row["address_digest"] = address_digest(address, salt) if address and salt else None
        last = row["hash"] = digest(row)
        rows.append(row)
    return rows


def digest(row: Mapping[str, Any]) -> str:
    hashed = {name: row[name] for name in HASHED} | {"sequence": row["id"]}
    return sha256(canonical(hashed)).hexdigest()


def address_digest(address: str, salt: str) -> str:
    """Salted: without the salt nobody can try all addresses."""
    return sha256(f"{salt} {address}".encode()).hexdigest()


# Names and addresses ----------------------------------------------------------------------------


async def remember_names(session: AsyncSession, waiting: Waiting) -> set[int]:
    """Store new names; answers who is forgotten: their names stay cleared."""
    ids = waiting.names.keys() | waiting.forgotten
    query = select(AuditActor.actor_id, AuditActor.name).where(AuditActor.actor_id.in_(ids))
    known = {row.actor_id: row.name for row in await session.execute(query)} if ids else {}
    forgotten = waiting.forgotten | {actor for actor, name in known.items() if name is None}
    named: dict[int, str | None] = waiting.names | dict.fromkeys(forgotten)
    fresh = [
        {"actor_id": actor, "name": name}
        for actor, name in named.items()
        if actor not in known or known[actor] != name
    ]
    if fresh:
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        statement = (sqlite if is_sqlite else postgresql).insert(AuditActor)
        name = {"name": statement.excluded.name}
        await session.execute(
            statement.on_conflict_do_update(index_elements=["actor_id"], set_=name), fresh
        )
    return forgotten


async def clear_addresses(session: AsyncSession, actor_ids: set[int]) -> None:
    """Where they came from, also when nobody yet knew that it was they who signed in."""
    resources = [f"user/{actor_id}" for actor_id in actor_ids]
    at_the_door = and_(AuditEntry.actor_id.is_(None), AuditEntry.resource.in_(resources))
    theirs = or_(AuditEntry.actor_id.in_(actor_ids), at_the_door)
    await session.execute(
        update(AuditEntry)
        .where(theirs, AuditEntry.address.is_not(None))
        .values(address=None, address_salt=None)
        .execution_options(synchronize_session=False)
    )
