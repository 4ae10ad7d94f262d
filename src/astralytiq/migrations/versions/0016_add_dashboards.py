"""Add dashboards, samples of figures, counts of days; find rejects that wait."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

STATUS = sa.Enum(
    "draft", "active", "archived", name="dashboardstatus", native_enum=False, length=32
)
OPEN = sa.text("status = 'open'")


def upgrade() -> None:
    op.create_table(
        "dashboards",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("owner_id", db.BigId, nullable=False),
        sa.Column("project_id", db.BigId, nullable=True),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("status", STATUS, nullable=False),
        sa.Column("refresh_rate", sa.Integer(), nullable=False),
        sa.Column("widgets", db.Json, nullable=False),
        sa.Column("views_total", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("views_of_day", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("viewed_on", sa.Date(), nullable=True),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.Column("updated_at", db.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_dashboards_owner_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_dashboards_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dashboards")),
    )
    op.create_index(op.f("ix_dashboards_owner_id"), "dashboards", ["owner_id"])
    op.create_index(op.f("ix_dashboards_project_id"), "dashboards", ["project_id"])
    op.create_table(
        "figure_samples",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", db.UtcDateTime(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", "at", name=op.f("pk_figure_samples")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "day_counts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "day", name=op.f("pk_day_counts")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_etl_rejects_open", "etl_rejects", ["id"], sqlite_where=OPEN, postgresql_where=OPEN
    )


def downgrade() -> None:
    op.drop_index("ix_etl_rejects_open", "etl_rejects")
    op.drop_table("day_counts")
    op.drop_table("figure_samples")
    op.drop_index(op.f("ix_dashboards_project_id"), "dashboards")
    op.drop_index(op.f("ix_dashboards_owner_id"), "dashboards")
    op.drop_table("dashboards")
