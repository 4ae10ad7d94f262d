"""Tables of the task room: people's to-dos (background work is a job)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, PrimaryKeyConstraint, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, BigId, Versioned


class TaskStatus(StrEnum):
    pending = "pending"
    in_progress = "in_progress"
    completed = "completed"
    cancelled = "cancelled"


class TaskPriority(StrEnum):
    low = "low"
    medium = "medium"
    high = "high"
    urgent = "urgent"


OPEN = (TaskStatus.pending, TaskStatus.in_progress)
# Compared byte by byte, so that the words with one beginning stand together in an index.
ByteOrder = String().with_variant(String(collation="C"), "postgresql")


class Task(Versioned):
    """Each way to somebody's tasks has an index that also holds what lists are filtered by.

    So a page and its count read index entries in the order of the answer, and whole rows only for
    what is shown (`bench/lists.py`).
    """

    __tablename__ = "tasks"
    __table_args__ = (
        Index(
            "ix_tasks_owner_id",
            *("owner_id", "id", "status", "priority", "due_date", "assignee_id", "project_id"),
        ),
        Index(
            "ix_tasks_assignee_id",
            *("assignee_id", "id", "status", "priority", "due_date", "owner_id", "project_id"),
        ),
        Index(
            "ix_tasks_project_id",
            *("project_id", "id", "status", "priority", "due_date", "owner_id", "assignee_id"),
        ),
        Index("ix_tasks_status", "status", "id", "priority", "due_date"),
        Index("ix_tasks_priority", "priority", "id", "status", "due_date"),
    )

    title: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[TaskStatus]
    priority: Mapped[TaskPriority]
    due_date: Mapped[datetime | None]
    tags: Mapped[list[Any]]
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"))
    completed_at: Mapped[datetime | None]

    @property
    def is_completed(self) -> bool:
        return self.status is TaskStatus.completed


# What lists are filtered by, and what says who sees a task.
FACETS = ("owner_id", "assignee_id", "project_id", "status", "priority", "due_date")


class TaskWord(Base):
    """The words of a task, for text search, each with the task's facets.

    `shared` says how many first characters a word has in common with the task's word before it,
    in the order of the index. Of a task's words with one beginning, which follow each other there,
    only the first shares less than this beginning: so a search meets each task once.
    """

    __tablename__ = "task_words"
    __table_args__ = (
        # All that a search reads stands in the key's own index; on SQLite the key is the table.
        PrimaryKeyConstraint("word", "task_id", postgresql_include=["shared", *FACETS]),
        {"sqlite_with_rowid": False},
    )

    word: Mapped[str] = mapped_column(ByteOrder)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), index=True)
    shared: Mapped[int] = mapped_column(SmallInteger)
    owner_id: Mapped[int] = mapped_column(BigId)
    assignee_id: Mapped[int | None] = mapped_column(BigId)
    project_id: Mapped[int | None] = mapped_column(BigId)
    status: Mapped[TaskStatus]
    priority: Mapped[TaskPriority]
    due_date: Mapped[datetime | None]
