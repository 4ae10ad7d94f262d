"""Add projects and tasks."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("project_type", sa.String(), nullable=True),
        sa.Column("programming_language", sa.String(), nullable=True),
        sa.Column("framework", sa.String(), nullable=True),
        sa.Column("repository_url", sa.String(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "active",
                "completed",
                "archived",
                "on_hold",
                name="projectstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("project_metadata", db.Json, nullable=False),
        sa.Column("owner_id", db.BigId, nullable=False),
        sa.Column("search", sa.String(), nullable=False),
        sa.Column("updated_at", db.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_projects_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("owner_id", "name", name=op.f("uq_projects_owner_id_name")),
    )
    op.create_table(
        "project_members",
        sa.Column("project_id", db.BigId, nullable=False),
        sa.Column("user_id", db.BigId, nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "viewer",
                "analyst",
                "data_scientist",
                "admin",
                name="role",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_members_project_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_project_members_user_id")),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_project_members")),
    )
    with op.batch_alter_table("project_members", schema=None) as batch_op:
        batch_op.create_index("ix_project_members_user_id", ["user_id", "project_id"], unique=False)

    op.create_table(
        "tasks",
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "in_progress",
                "completed",
                "cancelled",
                name="taskstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "priority",
            sa.Enum(
                "low", "medium", "high", "urgent", name="taskpriority", native_enum=False, length=32
            ),
            nullable=False,
        ),
        sa.Column("due_date", db.UtcDateTime(), nullable=True),
        sa.Column("tags", db.Json, nullable=False),
        sa.Column("owner_id", db.BigId, nullable=False),
        sa.Column("assignee_id", db.BigId, nullable=True),
        sa.Column("project_id", db.BigId, nullable=True),
        sa.Column("completed_at", db.UtcDateTime(), nullable=True),
        sa.Column("updated_at", db.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["assignee_id"], ["users.id"], name=op.f("fk_tasks_assignee_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_tasks_owner_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_tasks_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index(
            "ix_tasks_assignee_id",
            ["assignee_id", "id", "status", "priority", "due_date", "owner_id", "project_id"],
            unique=False,
        )
        batch_op.create_index(
            "ix_tasks_owner_id",
            ["owner_id", "id", "status", "priority", "due_date", "assignee_id", "project_id"],
            unique=False,
        )
        batch_op.create_index(
            "ix_tasks_priority", ["priority", "id", "status", "due_date"], unique=False
        )
        batch_op.create_index(
            "ix_tasks_project_id",
            ["project_id", "id", "status", "priority", "due_date", "owner_id", "assignee_id"],
            unique=False,
        )
        batch_op.create_index(
            "ix_tasks_status", ["status", "id", "priority", "due_date"], unique=False
        )

    op.create_table(
        "task_words",
        sa.Column(
            "word", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("task_id", db.BigId, nullable=False),
        sa.Column("owner_id", db.BigId, nullable=False),
        sa.Column("assignee_id", db.BigId, nullable=True),
        sa.Column("project_id", db.BigId, nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "in_progress",
                "completed",
                "cancelled",
                name="taskstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "priority",
            sa.Enum(
                "low", "medium", "high", "urgent", name="taskpriority", native_enum=False, length=32
            ),
            nullable=False,
        ),
        sa.Column("due_date", db.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_task_words_task_id")),
        sa.PrimaryKeyConstraint(
            "word",
            "task_id",
            name=op.f("pk_task_words"),
            postgresql_include=[
                "owner_id",
                "assignee_id",
                "project_id",
                "status",
                "priority",
                "due_date",
            ],
        ),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("task_words", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_task_words_task_id"), ["task_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("task_words", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_task_words_task_id"))

    op.drop_table("task_words")
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index("ix_tasks_status")
        batch_op.drop_index("ix_tasks_project_id")
        batch_op.drop_index("ix_tasks_priority")
        batch_op.drop_index("ix_tasks_owner_id")
        batch_op.drop_index("ix_tasks_assignee_id")

    op.drop_table("tasks")
    with op.batch_alter_table("project_members", schema=None) as batch_op:
        batch_op.drop_index("ix_project_members_user_id")

    op.drop_table("project_members")
    op.drop_table("projects")
