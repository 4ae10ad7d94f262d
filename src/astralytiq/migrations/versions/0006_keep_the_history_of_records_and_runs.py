"""Keep the history of records and runs."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "etl_drift",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("change", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.String(), nullable=True),
        sa.Column("examples", db.Json, nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_etl_drift")),
    )
    with op.batch_alter_table("etl_drift", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_etl_drift_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_etl_drift_source"), ["source"], unique=False)

    op.create_table(
        "etl_run_events",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("details", db.Json, nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_etl_run_events")),
    )
    with op.batch_alter_table("etl_run_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_etl_run_events_kind"), ["kind"], unique=False)
        batch_op.create_index(batch_op.f("ix_etl_run_events_run_id"), ["run_id"], unique=False)

    op.create_table(
        "raw_data_rss",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("record_count", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_data_rss")),
    )
    with op.batch_alter_table("raw_data_rss", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_raw_data_rss_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_raw_data_rss_source"), ["source"], unique=False)

    op.create_table(
        "record_counts",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_record_counts")),
    )
    op.create_table(
        "record_versions",
        sa.Column("record_id", db.BigId, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("fields", db.Json, nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("raw_id", db.BigId, nullable=False),
        sa.Column("raw_position", sa.Integer(), nullable=False),
        sa.Column("valid_from", db.UtcDateTime(), nullable=False),
        sa.Column("valid_to", db.UtcDateTime(), nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_versions")),
    )
    with op.batch_alter_table("record_versions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_record_versions_record_id"), ["record_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_record_versions_source"), ["source"], unique=False)

    op.create_table(
        "source_fields",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("fields", db.Json, nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("updated_at", db.UtcDateTime(), nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_fields")),
        sa.UniqueConstraint("source", name=op.f("uq_source_fields_source")),
    )
    with op.batch_alter_table("data_records", schema=None) as batch_op:
        batch_op.add_column(sa.Column("deleted_at", db.UtcDateTime(), nullable=True))

    with op.batch_alter_table("etl_checkpoint", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("state", db.Json, nullable=False, server_default=sa.text("'{}'"))
        )

    with op.batch_alter_table("etl_rejects", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "status",
                sa.Enum(
                    "open",
                    "retried",
                    "discarded",
                    name="rejectstatus",
                    native_enum=False,
                    length=32,
                ),
                nullable=False,
                server_default="open",
            )
        )
        batch_op.add_column(sa.Column("settled_at", db.UtcDateTime(), nullable=True))
        batch_op.create_index("ix_etl_rejects_raw", ["source", "raw_id"], unique=False)

    with op.batch_alter_table("etl_runs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "kind",
                sa.Enum("load", "replay", name="runkind", native_enum=False, length=32),
                nullable=False,
                server_default="load",
            )
        )
        batch_op.add_column(
            sa.Column("trigger", sa.String(), nullable=False, server_default="manual")
        )
        batch_op.add_column(
            sa.Column("full_refresh", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(
            sa.Column("records_unchanged", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(
            sa.Column("records_deleted", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(
            sa.Column("profile", db.Json, nullable=False, server_default=sa.text("'{}'"))
        )

    op.execute(
        "INSERT INTO record_counts (source, records) "
        "SELECT source, count(*) FROM data_records GROUP BY source"
    )


def downgrade() -> None:
    with op.batch_alter_table("etl_runs", schema=None) as batch_op:
        batch_op.drop_column("profile")
        batch_op.drop_column("records_deleted")
        batch_op.drop_column("records_unchanged")
        batch_op.drop_column("full_refresh")
        batch_op.drop_column("trigger")
        batch_op.drop_column("kind")

    with op.batch_alter_table("etl_rejects", schema=None) as batch_op:
        batch_op.drop_index("ix_etl_rejects_raw")
        batch_op.drop_column("settled_at")
        batch_op.drop_column("status")

    with op.batch_alter_table("etl_checkpoint", schema=None) as batch_op:
        batch_op.drop_column("state")

    with op.batch_alter_table("data_records", schema=None) as batch_op:
        batch_op.drop_column("deleted_at")

    op.drop_table("source_fields")
    with op.batch_alter_table("record_versions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_record_versions_source"))
        batch_op.drop_index(batch_op.f("ix_record_versions_record_id"))

    op.drop_table("record_versions")
    op.drop_table("record_counts")
    with op.batch_alter_table("raw_data_rss", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_raw_data_rss_source"))
        batch_op.drop_index(batch_op.f("ix_raw_data_rss_run_id"))

    op.drop_table("raw_data_rss")
    with op.batch_alter_table("etl_run_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_etl_run_events_run_id"))
        batch_op.drop_index(batch_op.f("ix_etl_run_events_kind"))

    op.drop_table("etl_run_events")
    with op.batch_alter_table("etl_drift", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_etl_drift_source"))
        batch_op.drop_index(batch_op.f("ix_etl_drift_run_id"))

    op.drop_table("etl_drift")
