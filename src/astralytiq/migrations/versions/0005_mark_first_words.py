"""Mark the first of a task's words with one beginning, so that a search counts a task once."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

LONGEST_WORD = 64
FACETS = ("owner_id", "assignee_id", "project_id", "status", "priority", "due_date")

# Most words share nothing with the one before: only the others are written.
FILL = f"""
WITH RECURSIVE lengths(length) AS (
    SELECT 1 UNION ALL SELECT length + 1 FROM lengths WHERE length < {LONGEST_WORD}
), pairs AS (
    SELECT task_id, word, lag(word) OVER (PARTITION BY task_id ORDER BY word) AS previous
    FROM task_words
)
UPDATE task_words SET shared = (
    SELECT count(*) FROM lengths
    WHERE substr(pairs.word, 1, length) = substr(pairs.previous, 1, length)
)
FROM pairs
WHERE task_words.word = pairs.word AND task_words.task_id = pairs.task_id
AND substr(pairs.word, 1, 1) = substr(pairs.previous, 1, 1)
"""


def upgrade() -> None:
    column = sa.Column("shared", sa.SmallInteger(), nullable=False, server_default="0")
    op.add_column("task_words", column)
    op.execute(FILL)
    with rebuilt(partial_reordering=[("task_id", "shared", *FACETS)]) as batch_op:
        batch_op.alter_column("shared", server_default=None)
    include_in_key("shared", *FACETS)


def downgrade() -> None:
    include_in_key(*FACETS)
    with rebuilt() as batch_op:
        batch_op.drop_column("shared")


def rebuilt(**how: Any) -> Any:
    """SQLite makes the table anew, and would forget that the key is the table."""
    return op.batch_alter_table("task_words", table_kwargs={"sqlite_with_rowid": False}, **how)


def include_in_key(*columns: str) -> None:
    if op.get_context().dialect.name == "sqlite":
        return
    op.drop_constraint(op.f("pk_task_words"), "task_words", type_="primary")
    key = f"PRIMARY KEY (word, task_id) INCLUDE ({', '.join(columns)})"
    op.execute(f"ALTER TABLE task_words ADD CONSTRAINT pk_task_words {key}")
