"""Index the words of records after the run, and their entities with them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SHIFT = 13
WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")
ASK = """
INSERT INTO jobs (id, name, arguments, status, priority, attempt, max_attempts, run_at, fence,
                  progress, cancel_requested, created_at)
SELECT :id, 'ingestion.index', '{}', 'queued', -1, 0, 3, :now, 0, 0, FALSE, :now
WHERE EXISTS (SELECT 1 FROM record_notes)
"""


def upgrade() -> None:
    op.create_table(
        "record_segments",
        sa.Column("segment", db.BigId, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("segment", name=op.f("pk_record_segments")),
    )
    op.create_table(
        "record_words",
        sa.Column("segment", db.BigId, autoincrement=False, nullable=False),
        sa.Column("word", WORD, nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("segment", "word", name=op.f("pk_record_words")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "record_notes",
        sa.Column("segment", db.BigId, nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_notes")),
    )
    op.create_index(op.f("ix_record_notes_segment"), "record_notes", ["segment"])
    op.drop_index(op.f("ix_data_records_entity_id"), "data_records")
    # Nobody looks records up by their run: that is a column to read, not a way to them.
    op.drop_index(op.f("ix_data_records_run_id"), "data_records")
    index_what_is_stored()


def index_what_is_stored() -> None:
    """Leave a note for each segment, and a job for the worker that starts next."""
    op.execute(
        f"INSERT INTO record_notes (segment) SELECT DISTINCT id >> {SHIFT} FROM data_records"
    )
    job_id = sa.bindparam("id", db.new_id(), sa.String())
    now = sa.bindparam("now", db.utc_now(), db.UtcDateTime())
    op.execute(sa.text(ASK).bindparams(job_id, now))


def downgrade() -> None:
    op.execute("DELETE FROM jobs WHERE name = 'ingestion.index'")
    op.create_index(op.f("ix_data_records_run_id"), "data_records", ["run_id"])
    op.create_index(op.f("ix_data_records_entity_id"), "data_records", ["entity_id"])
    op.drop_index(op.f("ix_record_notes_segment"), "record_notes")
    op.drop_table("record_notes")
    op.drop_table("record_words")
    op.drop_table("record_segments")
