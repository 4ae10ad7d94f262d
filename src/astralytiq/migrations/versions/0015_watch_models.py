"""Watch models: predictions counted by the hour, outcomes, challengers in the shadow."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SCHEDULE = "predictions.tidy"
RUNNING = sa.text("ended_at IS NULL")
VERSION = ("model_version_id", "model_versions.id")
PREDICTION = ("prediction_id", "predictions.id")


def upgrade() -> None:
    op.create_table(
        "predictions_uncounted",
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_predictions_uncounted")),
        sqlite_autoincrement=True,
    )
    # What was answered before is counted, too.
    op.execute('INSERT INTO predictions_uncounted (ids, "rows") SELECT id, "rows" FROM predictions')
    for name in ("prediction_hours", "prediction_quality_hours"):
        op.create_table(
            name,
            sa.Column("model_version_id", db.BigId, nullable=False),
            sa.Column("hour", db.UtcDateTime(), nullable=False),
            sa.Column("statistics", db.Json, nullable=False),
            reference(name, *VERSION),
            sa.PrimaryKeyConstraint("model_version_id", "hour", name=op.f(f"pk_{name}")),
        )
    add_outcomes()
    add_shadows()
    add_schedule()


def reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    end = "CASCADE" if target == "predictions.id" else None
    return sa.ForeignKeyConstraint(
        [column], [target], name=op.f(f"fk_{table}_{column}"), ondelete=end
    )


def add_outcomes() -> None:
    table = "prediction_outcomes"
    op.create_table(
        table,
        sa.Column("prediction_id", sa.String(), nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("predicted", db.Json, nullable=False),
        sa.Column("outcome", db.Json, nullable=False),
        sa.Column("observed_at", db.UtcDateTime(), nullable=False),
        sa.Column("actor_id", db.BigId, nullable=True),
        sa.Column("told_at", db.UtcDateTime(), nullable=False),
        sa.Column("before", db.Json, server_default=sa.text("'[]'"), nullable=False),
        reference(table, *PREDICTION),
        reference(table, "actor_id", "users.id"),
        sa.PrimaryKeyConstraint("prediction_id", "row", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_actor_id"), table, ["actor_id"])


def add_shadows() -> None:
    op.create_table(
        "shadows",
        sa.Column("model_id", db.BigId, nullable=False),
        sa.Column("model_version_id", db.BigId, nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("actor_id", db.BigId, nullable=True),
        sa.Column("ended_at", db.UtcDateTime(), nullable=True),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        reference("shadows", "model_id", "models.id"),
        reference("shadows", *VERSION),
        reference("shadows", "actor_id", "users.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadows")),
    )
    for column in ("actor_id", "model_id"):
        op.create_index(op.f(f"ix_shadows_{column}"), "shadows", [column])
    op.create_index(
        "uq_shadows_running",
        "shadows",
        ["model_id"],
        unique=True,
        sqlite_where=RUNNING,
        postgresql_where=RUNNING,
    )
    op.create_table(
        "shadow_results",
        sa.Column("prediction_id", sa.String(), nullable=False),
        sa.Column("shadow_id", db.BigId, nullable=False),
        sa.Column("predictions", db.Json, nullable=False),
        sa.Column("latency_us", sa.BigInteger(), nullable=False),
        reference("shadow_results", *PREDICTION),
        reference("shadow_results", "shadow_id", "shadows.id"),
        sa.PrimaryKeyConstraint("prediction_id", "shadow_id", name=op.f("pk_shadow_results")),
    )
    op.create_table(
        "shadow_tallies",
        sa.Column("shadow_id", db.BigId, nullable=False),
        sa.Column("champion_id", db.BigId, nullable=False),
        sa.Column("statistics", db.Json, nullable=False),
        reference("shadow_tallies", "shadow_id", "shadows.id"),
        reference("shadow_tallies", "champion_id", "model_versions.id"),
        sa.PrimaryKeyConstraint("shadow_id", "champion_id", name=op.f("pk_shadow_tallies")),
    )


def add_schedule() -> None:
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
    now = datetime.now(UTC)
    row = {
        "name": SCHEDULE,
        "rule": "every 6h",
        "job_name": SCHEDULE,
        "arguments": {},
        "enabled": True,
        "next_run_at": now + timedelta(hours=6),
        "created_at": now,
    }
    op.bulk_insert(schedules, [row])


def downgrade() -> None:
    op.execute(f"DELETE FROM schedules WHERE name = '{SCHEDULE}'")
    for name in (
        "shadow_tallies",
        "shadow_results",
        "shadows",
        "prediction_outcomes",
        "prediction_quality_hours",
        "prediction_hours",
        "predictions_uncounted",
    ):
        op.drop_table(name)
