"""THE list of features: their tables, jobs and doors. A new room is added here, nowhere else.

Each list is a function, because a worker needs no web framework and a command no table: FastAPI
and SQLAlchemy together take more than a second to import.
"""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import APIRouter

    from astralytiq.core.web import Authenticate


def load_tables() -> None:
    """Make every table known to `Base.metadata`."""
    from astralytiq.core import audit, broadcast, idempotency, jobs, schedules  # noqa: F401
    from astralytiq.features.accounts import models as accounts  # noqa: F401
    from astralytiq.features.ingestion import models as ingestion  # noqa: F401


def load_jobs() -> None:
    """Give every background job its name."""
    from astralytiq.features.ingestion import jobs as ingestion  # noqa: F401


def routers() -> tuple[APIRouter, ...]:
    """Doors under /api/v1."""
    from astralytiq.features.accounts import router as accounts
    from astralytiq.features.ingestion import router as ingestion
    from astralytiq.features.jobs.router import router as jobs

    return (
        accounts.auth,
        accounts.users,
        jobs,
        ingestion.sources,
        ingestion.etl,
        ingestion.served,
    )


def root_routers() -> tuple[APIRouter, ...]:
    """Doors that existing clients know at the root: the same handlers as under /api/v1."""
    from astralytiq.features.ingestion import router as ingestion

    return (ingestion.served,)


def authenticate() -> Authenticate:
    from astralytiq.features.accounts.deps import authenticate

    return authenticate
