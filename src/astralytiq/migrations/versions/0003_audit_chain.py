"""Audit chain: entries that follow each other, and that the database keeps as they are."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from astralytiq.core import audit, db

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BATCH = 1000
WORDS = "the audit trail is append-only"
FILTERED = ("actor_id", "action", "resource", "outcome", "via", "created_at")
INDEXES = {"created_at": ["created_at", "id"]} | {
    first: [first, "id", *(name for name in FILTERED if name != first)] for first in FILTERED[:4]
}
OLD = sa.table(
    "audit_entries_before",
    sa.column("id", sa.BigInteger),
    sa.column("created_at", db.UtcDateTime),
    sa.column("actor_id", sa.Integer),
    sa.column("actor_name", sa.String),
    sa.column("action", sa.String),
    sa.column("resource", sa.String),
    sa.column("outcome", sa.String),
    sa.column("details", db.Json),
)
KEPT = ("created_at", "actor_id", "action", "resource", "outcome", "details")
CLEARED = ("address", "address_salt")  # the two columns that may be cleared, and nothing else
ENTRIES = sa.table(
    "audit_entries",
    sa.column("id", sa.BigInteger),
    sa.column("created_at", db.UtcDateTime),
    sa.column("actor_id", sa.BigInteger),
    sa.column("via", sa.String),
    sa.column("action", sa.String),
    sa.column("resource", sa.String),
    sa.column("outcome", sa.String),
    sa.column("address", sa.String),
    sa.column("address_salt", sa.String),
    sa.column("address_digest", sa.String),
    sa.column("request_id", sa.String),
    sa.column("details", audit.CanonicalJson),
    sa.column("previous_hash", sa.String),
    sa.column("hash", sa.String),
)
HEAD = sa.table(
    "audit_head",
    sa.column("id", sa.Integer),
    sa.column("sequence", sa.BigInteger),
    sa.column("hash", sa.String),
)
ACTORS = sa.table(
    "audit_actors", sa.column("actor_id", sa.BigInteger), sa.column("name", sa.String)
)

# A later migration that lets batch mode rebuild the table on SQLite must make these anew.
SQLITE_GUARDS = (
    f"""CREATE TRIGGER audit_entries_update BEFORE UPDATE ON audit_entries
    WHEN NEW.address IS NOT NULL OR NEW.address_salt IS NOT NULL OR NOT (
    {" AND ".join(f"NEW.{c.name} IS OLD.{c.name}" for c in ENTRIES.c if c.name not in CLEARED)})
    BEGIN SELECT RAISE(ABORT, '{WORDS}'); END""",
    f"""CREATE TRIGGER audit_entries_delete BEFORE DELETE ON audit_entries
    BEGIN SELECT RAISE(ABORT, '{WORDS}'); END""",
    # INSERT OR REPLACE deletes without asking the trigger above.
    f"""CREATE TRIGGER audit_entries_insert BEFORE INSERT ON audit_entries
    WHEN EXISTS (SELECT 1 FROM audit_entries WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, '{WORDS}'); END""",
    f"""CREATE TRIGGER audit_head_update BEFORE UPDATE ON audit_head
    WHEN NEW.sequence <= OLD.sequence BEGIN SELECT RAISE(ABORT, '{WORDS}'); END""",
    f"""CREATE TRIGGER audit_head_delete BEFORE DELETE ON audit_head
    BEGIN SELECT RAISE(ABORT, '{WORDS}'); END""",
)
POSTGRESQL_GUARDS = (
    f"""CREATE FUNCTION audit_entries_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE cleared audit_entries;
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        cleared := OLD;
        {" ".join(f"cleared.{name} := NULL;" for name in CLEARED)}
        IF NEW IS NOT DISTINCT FROM cleared THEN RETURN NEW; END IF;
      END IF;
      RAISE EXCEPTION '{WORDS}';
    END $$""",
    f"""CREATE FUNCTION audit_head_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        IF NEW.sequence > OLD.sequence THEN RETURN NEW; END IF;
      END IF;
      RAISE EXCEPTION '{WORDS}';
    END $$""",
    *(
        f"""CREATE TRIGGER {table}_{kind} BEFORE {events} ON {table}
        FOR EACH {kind} EXECUTE FUNCTION {table}_guard()"""
        for table in ("audit_entries", "audit_head")
        for kind, events in (("row", "UPDATE OR DELETE"), ("statement", "TRUNCATE"))
    ),
)


def is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def upgrade() -> None:
    put_aside_the_old()
    op.create_table(
        "audit_entries",
        sa.Column("id", db.BigId, autoincrement=False, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("action", audit.Word, nullable=False),
        sa.Column("resource", audit.Word, nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("address_salt", sa.String(), nullable=True),
        sa.Column("address_digest", sa.String(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    for name, columns in INDEXES.items():
        op.create_index(op.f(f"ix_audit_entries_{name}"), "audit_entries", columns)
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "audit_actors",
        sa.Column("actor_id", db.BigId, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("actor_id", name=op.f("pk_audit_actors")),
    )
    chain_the_old()
    op.drop_table("audit_entries_before")
    for guard in SQLITE_GUARDS if is_sqlite() else POSTGRESQL_GUARDS:
        op.execute(guard)


def put_aside_the_old() -> None:
    op.drop_index(op.f("ix_audit_entries_action"), "audit_entries")
    op.drop_index(op.f("ix_audit_entries_actor_id"), "audit_entries")
    op.rename_table("audit_entries", "audit_entries_before")
    if not is_sqlite():
        op.execute("ALTER INDEX pk_audit_entries RENAME TO pk_audit_entries_before")


def batches(query: Any, key: Any) -> Iterator[list[Any]]:
    connection, last = op.get_bind(), 0
    while found := connection.execute(query.where(key > last).order_by(key).limit(BATCH)).all():
        yield [row._mapping for row in found]
        last = found[-1].id


def chain_the_old() -> None:
    connection, names = op.get_bind(), dict[int, str]()
    sequence, last = 0, audit.GENESIS
    for batch in batches(sa.select(OLD), OLD.c.id):
        entries = [entry_of(row) for row in batch]
        rows = audit.chained(entries, sequence, last, set())
        connection.execute(sa.insert(ENTRIES), rows)
        names |= {row["actor_id"]: row["actor_name"] for row in batch if row["actor_id"]}
        sequence, last = rows[-1]["id"], rows[-1]["hash"]
    connection.execute(sa.insert(HEAD).values(id=1, sequence=sequence, hash=last))
    if names:
        named = [{"actor_id": actor, "name": name} for actor, name in names.items()]
        connection.execute(sa.insert(ACTORS), named)


def entry_of(row: Any) -> dict[str, Any]:
    known = row["actor_id"] is None and row["actor_name"] in ("system", "anonymous")
    new = {"via": row["actor_name"] if known else "unknown", "address": None, "request_id": None}
    return {name: row[name] for name in KEPT} | new


def downgrade() -> None:
    drop_guards()
    for name in INDEXES:
        op.drop_index(op.f(f"ix_audit_entries_{name}"), "audit_entries")
    op.rename_table("audit_entries", "audit_entries_chained")
    if not is_sqlite():
        op.execute("ALTER INDEX pk_audit_entries RENAME TO pk_audit_entries_chained")
    op.create_table(
        "audit_entries",
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("details", db.Json, nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index(op.f("ix_audit_entries_action"), "audit_entries", ["action"])
    op.create_index(op.f("ix_audit_entries_actor_id"), "audit_entries", ["actor_id"])
    unchain()
    for table in ("audit_entries_chained", "audit_head", "audit_actors"):
        op.drop_table(table)


def drop_guards() -> None:
    if is_sqlite():
        for name in ("entries_update", "entries_delete", "entries_insert"):
            op.execute(f"DROP TRIGGER audit_{name}")
        for name in ("head_update", "head_delete"):
            op.execute(f"DROP TRIGGER audit_{name}")
        return
    for table in ("audit_entries", "audit_head"):
        op.execute(f"DROP FUNCTION {table}_guard() CASCADE")


def unchain() -> None:
    """Plain rows again: the names stand in them, the hashes are gone."""
    source = sa.table("audit_entries_chained", *(sa.column(c.name, c.type) for c in ENTRIES.c))
    target = sa.table("audit_entries", *(sa.column(c.name, c.type) for c in OLD.c))
    query = sa.select(source, ACTORS.c.name).outerjoin(
        ACTORS, ACTORS.c.actor_id == source.c.actor_id
    )
    connection = op.get_bind()
    for batch in batches(query, source.c.id):
        rows = [
            {name: row[name] for name in ("id", *KEPT)} | {"actor_name": row["name"] or row["via"]}
            for row in batch
        ]
        connection.execute(sa.insert(target), rows)
    if not is_sqlite():
        op.execute(
            "SELECT setval(pg_get_serial_sequence('audit_entries', 'id'), max(id)) "
            "FROM audit_entries HAVING max(id) IS NOT NULL"
        )
