"""Take in telemetry: devices, their events, and sums over them by the minute and the hour."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SUMS = ("events", "drowsy", "ear", "duration", "closed", "low", "medium", "high", "critical")
SCHEDULE = "telemetry.retention"


def upgrade() -> None:
    op.create_table(
        "telemetry_devices",
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("first_seen_at", db.UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", db.UtcDateTime(), nullable=False),
        sa.Column("events", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("deleted_at", db.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_telemetry_devices")),
        sa.UniqueConstraint("device_id", name=op.f("uq_telemetry_devices_device_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "telemetry_events",
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("ear", sa.Integer(), nullable=False),
        sa.Column("drowsy", sa.Boolean(), nullable=False),
        sa.Column("duration", sa.BigInteger(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_telemetry_events")),
        sa.UniqueConstraint("device", "event_id", name=op.f("uq_telemetry_events_device_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_telemetry_events_at", "telemetry_events", ["at"])
    for name in ("telemetry_minutes", "telemetry_hours"):
        op.create_table(
            name,
            *(sa.Column(key, sa.BigInteger(), nullable=False) for key in ("device", "start")),
            *(sa.Column(one, sa.BigInteger(), nullable=False) for one in SUMS),
            sa.PrimaryKeyConstraint("device", "start", name=op.f(f"pk_{name}")),
            sqlite_with_rowid=False,
        )
    op.create_table(
        "telemetry_marks",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_telemetry_marks")),
    )
    schedule_retention()


def schedule_retention() -> None:
    now = datetime.now(UTC)
    schedules = sa.table(
        "schedules",
        sa.column("name", sa.String),
        sa.column("rule", sa.String),
        sa.column("job_name", sa.String),
        sa.column("arguments", db.Json),
        sa.column("enabled", sa.Boolean),
        sa.column("next_run_at", db.UtcDateTime),
        sa.column("created_at", db.UtcDateTime),
    )
    row = {
        "name": SCHEDULE,
        "rule": "every 6h",
        "job_name": "telemetry.tidy",
        "arguments": {},
        "enabled": True,
        "next_run_at": now + timedelta(hours=6),
        "created_at": now,
    }
    op.bulk_insert(schedules, [row])


def downgrade() -> None:
    op.execute(f"DELETE FROM schedules WHERE name = '{SCHEDULE}'")
    for name in ("marks", "hours", "minutes"):
        op.drop_table(f"telemetry_{name}")
    op.drop_index("ix_telemetry_events_at", table_name="telemetry_events")
    op.drop_table("telemetry_events")
    op.drop_table("telemetry_devices")
