"""What the project doors take in and give out."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, Field

from astralytiq.core.schemas import Answer, Body
from astralytiq.core.security import Role

from .models import ProjectStatus

ONE_LINE = r"^[^\x00-\x1f\x7f]+$"
NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores none
WEB_OR_GIT = r"^((https?|ssh|git)://[^\s/]+\S*|[\w.-]+@[\w.-]+:\S+)$"
METADATA_BYTES = 64 << 10
METADATA_DEPTH = 32


def absent() -> Any:
    """Stands in a partial body for a field that was not sent; nobody reads it.

    As a factory it stays out of the OpenAPI document, which then says rightly that a field may be
    left out, but not null.
    """


def is_deeper(value: Any, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(is_deeper(one, levels - 1) for one in inside)


def modest(metadata: dict[str, Any]) -> dict[str, Any]:
    if is_deeper(metadata, METADATA_DEPTH):
        raise ValueError(f"at most {METADATA_DEPTH} levels deep")
    if len(msgspec.json.encode(metadata)) > METADATA_BYTES:
        raise ValueError(f"at most {METADATA_BYTES >> 10} KiB as JSON")
    return metadata


def without_secret(url: str) -> str:
    if url.startswith("http") and "@" in url.split("/")[2]:
        raise ValueError("leave user and password out: everybody in the project reads it")
    return url


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]
Label = Annotated[str, Field(min_length=1, max_length=100, pattern=ONE_LINE)]
Description = Annotated[str, Field(max_length=2000, pattern=NO_NUL)]
RepositoryUrl = Annotated[
    str, Field(max_length=500, pattern=WEB_OR_GIT), AfterValidator(without_secret)
]
Metadata = Annotated[
    dict[str, Any], AfterValidator(modest), Field(description="an object of at most 64 KiB")
]
# "admin" would promise what it cannot give: only the owner and admins manage a project.
MemberRole = Literal[Role.viewer, Role.analyst, Role.data_scientist]
Sort = Literal[
    "name", "-name", "status", "-status", "created_at", "-created_at", "updated_at", "-updated_at"
]  # fmt: skip


class ProjectCreate(Body):
    name: Name
    description: Description | None = None
    project_type: Label | None = None
    programming_language: Label | None = None
    framework: Label | None = None
    repository_url: RepositoryUrl | None = None
    status: ProjectStatus = ProjectStatus.active
    project_metadata: Metadata = Field(default_factory=dict)


class ProjectChange(Body):
    """Only what is sent is changed."""

    name: Name = Field(default_factory=absent)
    description: Description | None = None
    project_type: Label | None = None
    programming_language: Label | None = None
    framework: Label | None = None
    repository_url: RepositoryUrl | None = None
    status: ProjectStatus = Field(default_factory=absent)
    project_metadata: Metadata = Field(default_factory=absent)


class MemberPut(Body):
    role: MemberRole = Field(description="viewers read the project's resources, others write them")


class MemberRead(Answer):
    user_id: int
    role: Role


class ProjectRead(Answer):
    id: int
    name: str
    description: str | None
    project_type: str | None
    programming_language: str | None
    framework: str | None
    repository_url: str | None
    status: ProjectStatus
    project_metadata: dict[str, Any]
    members: list[MemberRead]
    owner_id: int
    created_at: datetime
    updated_at: datetime


class TaskTotals(Answer):
    total: int = 0
    open: int = Field(0, description="pending or in progress")
    overdue: int = Field(0, description="open, and past their due date")


class Activity(Answer):
    """How many things were made or changed in the last `days` days."""

    days: int
    total: int
    projects: int
    tasks: int = 0
    datasets: int = 0
    models: int = 0


class Summary(Answer):
    total_projects: int
    by_status: dict[str, int]
    by_language: dict[str, int]
    by_type: dict[str, int]
    tasks: TaskTotals
    datasets: int
    models: int
    activity: Activity
