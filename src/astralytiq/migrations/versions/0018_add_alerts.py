"""Add alert rules, what they fired, and where it is told."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

FIRING = sa.text("status = 'firing'")


def words(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, length=32)


def upgrade() -> None:
    op.create_table(
        "alert_channels",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", words("channelkind", "webhook", "email", "chat"), nullable=False),
        sa.Column("owner_id", db.BigId, nullable=False),
        sa.Column("config", db.Json, nullable=False),
        sa.Column("updated_at", db.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_alert_channels_owner_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_channels")),
        sa.UniqueConstraint("name", name=op.f("uq_alert_channels_name")),
    )
    op.create_index(op.f("ix_alert_channels_owner_id"), "alert_channels", ["owner_id"])
    op.create_table(
        "alert_rules",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("for_seconds", sa.Integer(), nullable=False),
        sa.Column("severity", words("severity", "info", "warning", "critical"), nullable=False),
        sa.Column("group", sa.String(), nullable=True),
        sa.Column("channels", db.Json, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("silenced_until", db.UtcDateTime(), nullable=True),
        sa.Column("owner_id", db.BigId, nullable=False),
        sa.Column("state", words("state", "ok", "pending", "firing"), nullable=False),
        sa.Column("since", db.UtcDateTime(), nullable=True),
        sa.Column("updated_at", db.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_alert_rules_owner_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_rules")),
        sa.UniqueConstraint("name", name=op.f("uq_alert_rules_name")),
    )
    op.create_index(op.f("ix_alert_rules_owner_id"), "alert_rules", ["owner_id"])
    op.create_table(
        "alerts",
        sa.Column("rule_id", db.BigId, nullable=True),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("severity", words("severity", "info", "warning", "critical"), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("status", words("alertstatus", "firing", "resolved"), nullable=False),
        sa.Column("resolved_at", db.UtcDateTime(), nullable=True),
        sa.Column("resolved_value", sa.Float(), nullable=True),
        sa.Column("told", db.Json, nullable=True),
        sa.Column("acknowledged_at", db.UtcDateTime(), nullable=True),
        sa.Column("acknowledged_by", db.BigId, nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["acknowledged_by"], ["users.id"], name=op.f("fk_alerts_acknowledged_by_users")
        ),
        sa.ForeignKeyConstraint(
            ["rule_id"],
            ["alert_rules.id"],
            name=op.f("fk_alerts_rule_id_alert_rules"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_rule_id"), "alerts", ["rule_id"])
    op.create_index(op.f("ix_alerts_acknowledged_by"), "alerts", ["acknowledged_by"])
    op.create_index("ix_alerts_status", "alerts", ["status", "id"])
    op.create_index(
        "uq_alerts_firing",
        "alerts",
        ["rule_id"],
        unique=True,
        sqlite_where=FIRING,
        postgresql_where=FIRING,
    )


def downgrade() -> None:
    op.drop_table("alerts")
    op.drop_table("alert_rules")
    op.drop_table("alert_channels")
