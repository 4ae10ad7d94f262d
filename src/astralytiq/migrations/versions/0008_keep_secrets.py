"""Keep secrets that sources refer to, and tell dry runs from the others."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("owner_id", db.BigId, nullable=True),
        sa.Column("updated_by", db.BigId, nullable=True),
        sa.Column("updated_at", db.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_secrets_owner_id")),
        sa.ForeignKeyConstraint(["updated_by"], ["users.id"], name=op.f("fk_secrets_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secrets")),
        sa.UniqueConstraint("name", name=op.f("uq_secrets_name")),
    )
    with op.batch_alter_table("etl_runs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("dry_run", sa.Boolean(), nullable=False, server_default=sa.false())
        )


def downgrade() -> None:
    # Without the column they would pass for runs that have stored what they counted.
    op.execute("DELETE FROM etl_runs WHERE dry_run")
    with op.batch_alter_table("etl_runs", schema=None) as batch_op:
        batch_op.drop_column("dry_run")
    op.drop_table("secrets")
