"""Tables of the project room."""

from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from astralytiq.core.db import Base, Versioned
from astralytiq.core.security import Role


class ProjectStatus(StrEnum):
    active = "active"
    completed = "completed"
    archived = "archived"
    on_hold = "on_hold"


class Member(Base):
    """Somebody whom a project's owner lets in, and how far: viewers read, the others write."""

    __tablename__ = "project_members"
    __table_args__ = (Index("ix_project_members_user_id", "user_id", "project_id"),)

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[Role]


class Project(Versioned):
    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    name: Mapped[str]
    description: Mapped[str | None]
    project_type: Mapped[str | None]
    programming_language: Mapped[str | None]
    framework: Mapped[str | None]
    repository_url: Mapped[str | None]
    status: Mapped[ProjectStatus] = mapped_column(default=ProjectStatus.active)
    project_metadata: Mapped[dict[str, Any]]
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    # Its words in lower case, a blank before each: " fix" finds what begins with "fix".
    search: Mapped[str]
    members: Mapped[list[Member]] = relationship(
        cascade="all, delete-orphan", order_by=Member.user_id, lazy="raise"
    )
