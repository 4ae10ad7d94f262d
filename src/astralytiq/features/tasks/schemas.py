"""What the task doors take in and give out."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from astralytiq.core.schemas import Answer, Body, Id, Moment
from astralytiq.features.projects.schemas import NO_NUL, ONE_LINE, absent

from .models import TaskPriority, TaskStatus


def once_each(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


Title = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]
Description = Annotated[str, Field(max_length=1000, pattern=NO_NUL)]
Tag = Annotated[str, Field(min_length=1, max_length=50, pattern=ONE_LINE)]
Tags = Annotated[list[Tag], Field(max_length=20), AfterValidator(once_each)]


class Stated(Body):
    """`status` and `is_completed` say the same thing in two ways: they must agree."""

    status: TaskStatus = Field(default_factory=absent)
    is_completed: bool = Field(default_factory=absent)

    @model_validator(mode="after")
    def agrees(self) -> Self:
        both = {"status", "is_completed"} <= self.model_fields_set
        if both and self.is_completed is not (self.status is TaskStatus.completed):
            raise ValueError("status and is_completed contradict each other: send one of them")
        return self


class TaskCreate(Stated):
    title: Title
    description: Description | None = None
    priority: TaskPriority = TaskPriority.medium
    due_date: Moment | None = None
    project_id: Id | None = None
    assignee_id: Id | None = None
    tags: Tags = Field(default_factory=list)


class TaskChange(Stated):
    """Only what is sent is changed."""

    title: Title = Field(default_factory=absent)
    description: Description | None = None
    priority: TaskPriority = Field(default_factory=absent)
    due_date: Moment | None = None
    project_id: Id | None = None
    assignee_id: Id | None = None
    tags: Tags = Field(default_factory=absent)


class TaskRead(Answer):
    id: int
    title: str
    description: str | None
    status: TaskStatus
    is_completed: bool
    priority: TaskPriority
    due_date: datetime | None
    tags: list[str]
    project_id: int | None
    assignee_id: int | None
    owner_id: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class TaskStats(Answer):
    """How many tasks stand where."""

    pending: int
    in_progress: int
    completed: int
    cancelled: int
    total: int
