"""Keep what was found in versions of data sets, and what their owners demand."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "dataset_profiles",
        sa.Column("version_id", db.BigId, nullable=False),
        sa.Column("profile", db.Json, nullable=False),
        sa.Column("quality", db.Json, nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"], ["dataset_versions.id"], name=op.f("fk_dataset_profiles_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_profiles")),
        sa.UniqueConstraint("version_id", name=op.f("uq_dataset_profiles_version_id")),
    )
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("quality_score", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("query", db.Json, nullable=True))
        batch_op.add_column(
            sa.Column("rules", db.Json, nullable=False, server_default=sa.text("'[]'"))
        )


def downgrade() -> None:
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.drop_column("rules")
        batch_op.drop_column("query")
        batch_op.drop_column("quality_score")
    op.drop_table("dataset_profiles")
