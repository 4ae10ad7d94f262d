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
    from astralytiq.features.datasets import models as datasets  # noqa: F401
    from astralytiq.features.ingestion import models as ingestion  # noqa: F401
    from astralytiq.features.predictions import models as predictions  # noqa: F401
    from astralytiq.features.registry import models as registry  # noqa: F401


def load_jobs() -> None:
    """Give every background job its name."""
    from astralytiq.features.datasets import jobs as datasets  # noqa: F401
    from astralytiq.features.ingestion import jobs as ingestion  # noqa: F401
    from astralytiq.features.registry import jobs as registry  # noqa: F401
    from astralytiq.features.training import jobs as training  # noqa: F401


def routers() -> tuple[APIRouter, ...]:
    """Doors under /api/v1."""
    from astralytiq.features.accounts import router as accounts
    from astralytiq.features.datasets import router as datasets
    from astralytiq.features.ingestion import router as ingestion
    from astralytiq.features.jobs.router import router as jobs
    from astralytiq.features.monitoring import router as monitoring
    from astralytiq.features.predictions import router as predictions
    from astralytiq.features.registry.router import router as registry
    from astralytiq.features.training.router import router as training

    return (
        monitoring.router,
        accounts.auth,
        accounts.users,
        jobs,
        ingestion.sources,
        ingestion.etl,
        ingestion.served,
        datasets.router,
        datasets.ml,
        training,
        registry,
        predictions.models,
        predictions.predictions,
    )


def root_routers() -> tuple[APIRouter, ...]:
    """Doors that existing clients know at the root: the same handlers as under /api/v1."""
    from astralytiq.features.ingestion import router as ingestion
    from astralytiq.features.monitoring import router as monitoring

    return (monitoring.welcome, monitoring.router, ingestion.served)


def authenticate() -> Authenticate:
    from astralytiq.features.accounts.deps import authenticate

    return authenticate
