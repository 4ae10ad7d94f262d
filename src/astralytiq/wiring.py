"""THE list of features: their tables, jobs and doors. A new room is added here, nowhere else.

Each list is a function, because a worker needs no web framework and a command no table: FastAPI
and SQLAlchemy together take more than a second to import.
"""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import APIRouter
    from starlette.routing import BaseRoute

    from astralytiq.core.broadcast import Follower
    from astralytiq.core.metrics import Performance
    from astralytiq.core.resources import Resources
    from astralytiq.core.web import Authenticate

    Companion = Callable[[Resources, Performance], Awaitable[None]]


def load_tables() -> None:
    """Make every table known to `Base.metadata`."""
    from astralytiq.core import (  # noqa: F401
        audit,
        belonging,
        broadcast,
        idempotency,
        jobs,
        lineage,
        schedules,
        secrets,
    )
    from astralytiq.features.accounts import models as accounts  # noqa: F401
    from astralytiq.features.alerts import models as alerts  # noqa: F401
    from astralytiq.features.dashboards import models as dashboards  # noqa: F401
    from astralytiq.features.datasets import models as datasets  # noqa: F401
    from astralytiq.features.ingestion import models as ingestion  # noqa: F401
    from astralytiq.features.predictions import models as predictions  # noqa: F401
    from astralytiq.features.projects import models as projects  # noqa: F401
    from astralytiq.features.registry import models as registry  # noqa: F401
    from astralytiq.features.tasks import models as tasks  # noqa: F401
    from astralytiq.features.telemetry import models as telemetry  # noqa: F401


def load_jobs() -> None:
    """Give every background job its name, and every table that jobs leave."""
    from astralytiq.features.accounts import jobs as accounts  # noqa: F401
    from astralytiq.features.alerts import jobs as alerts  # noqa: F401
    from astralytiq.features.datasets import jobs as datasets  # noqa: F401
    from astralytiq.features.ingestion import job_tables as ingested  # noqa: F401
    from astralytiq.features.ingestion import jobs as ingestion  # noqa: F401
    from astralytiq.features.predictions import counting_jobs as predicted  # noqa: F401
    from astralytiq.features.predictions import jobs as predictions  # noqa: F401
    from astralytiq.features.registry import jobs as registry  # noqa: F401
    from astralytiq.features.registry import taking_jobs as taken  # noqa: F401
    from astralytiq.features.telemetry import jobs as telemetry  # noqa: F401
    from astralytiq.features.tracking import jobs as tracking  # noqa: F401
    from astralytiq.features.training import job_tables as trained  # noqa: F401
    from astralytiq.features.training import jobs as training  # noqa: F401


def load_offers() -> None:
    """Tell `core.offers` what each room offers to the others."""
    from astralytiq.features.accounts import offers as accounts  # noqa: F401
    from astralytiq.features.alerts import offers as alerts  # noqa: F401
    from astralytiq.features.dashboards import offers as dashboards  # noqa: F401
    from astralytiq.features.datasets import offers as datasets  # noqa: F401
    from astralytiq.features.history import offers as history  # noqa: F401
    from astralytiq.features.ingestion import offers as ingestion  # noqa: F401
    from astralytiq.features.jobs import offers as jobs  # noqa: F401
    from astralytiq.features.predictions import offers as predictions  # noqa: F401
    from astralytiq.features.projects import offers as projects  # noqa: F401
    from astralytiq.features.registry import offers as registry  # noqa: F401
    from astralytiq.features.tasks import offers as tasks  # noqa: F401
    from astralytiq.features.telemetry import offers as telemetry  # noqa: F401


def routers() -> tuple[APIRouter, ...]:
    """Doors under /api/v1."""
    load_offers()  # Services behind these doors ask for them.
    from astralytiq.features.accounts import router as accounts
    from astralytiq.features.alerts import router as alerts
    from astralytiq.features.dashboards import router as dashboards
    from astralytiq.features.datasets import router as datasets
    from astralytiq.features.history import router as history
    from astralytiq.features.ingestion import router as ingestion
    from astralytiq.features.jobs.router import router as jobs
    from astralytiq.features.monitoring import router as monitoring
    from astralytiq.features.predictions import router as predictions
    from astralytiq.features.projects.router import router as projects
    from astralytiq.features.registry.router import router as registry
    from astralytiq.features.tasks.router import router as tasks
    from astralytiq.features.telemetry import router as telemetry
    from astralytiq.features.tracking import router as tracking
    from astralytiq.features.training import router as training

    return (
        telemetry.telemetry,  # The first is found soonest: thousands ask for it each second.
        monitoring.router,
        monitoring.monitoring,
        accounts.auth,
        accounts.personal,  # "me" is no number: before the doors that take one
        accounts.users,
        accounts.api_keys,
        projects,
        tasks,
        jobs,
        ingestion.sources,
        ingestion.secrets,
        ingestion.etl,
        ingestion.served,
        datasets.router,
        datasets.ml,
        training.router,
        training.models,
        registry,
        predictions.models,
        predictions.predictions,
        tracking.metrics,
        tracking.runs,
        telemetry.figures,
        telemetry.dashboard,
        telemetry.events,
        telemetry.devices,
        history.router,
        history.lineage,
        history.datasets,
        alerts.rules,  # "rules" and "channels" are no numbers of alerts
        alerts.channels,
        alerts.alerts,
        dashboards.dashboards,
        dashboards.metrics,
        dashboards.live,
    )


def first_routers() -> tuple[APIRouter, ...]:
    """Doors at the root that are tried before all others: a third of an event's time otherwise."""
    from astralytiq.features.telemetry import router as telemetry

    return (telemetry.telemetry,)


def root_routers() -> tuple[APIRouter, ...]:
    """Doors that existing clients know at the root: the same handlers as under /api/v1."""
    from astralytiq.features.dashboards import router as dashboards
    from astralytiq.features.ingestion import router as ingestion
    from astralytiq.features.monitoring import router as monitoring
    from astralytiq.features.telemetry import router as telemetry
    from astralytiq.features.tracking import router as tracking

    return (
        monitoring.welcome,
        monitoring.router,
        monitoring.scraped,
        ingestion.served,
        telemetry.figures,
        telemetry.dashboard,
        telemetry.events,
        tracking.metrics,
        tracking.runs,
        dashboards.live,
    )


def mounts() -> tuple[BaseRoute, ...]:
    """What answers for a whole folder of paths, where no door of ours is."""
    from astralytiq.features.tracking.gate import gate as mlflow

    return (mlflow,)


def upload_paths() -> tuple[str, ...]:
    """Where files are sent as they are, not as forms."""
    from astralytiq.features.tracking.surface import UPLOADS as MLFLOW

    return MLFLOW


def followers() -> tuple[Follower, ...]:
    """What listens to broadcasts beside the application."""
    from astralytiq.features.accounts.credentials import follow_revocations
    from astralytiq.features.predictions.mirroring import follow_shadows
    from astralytiq.features.registry.serving import follow_changes

    return (follow_revocations, follow_changes, follow_shadows)


def companions() -> tuple[Companion, ...]:
    """What each API process does beside its requests."""
    from astralytiq.features.alerts.watching import keep_looking
    from astralytiq.features.dashboards.sampling import keep_sampling

    return (keep_sampling, keep_looking)


def authenticate() -> Authenticate:
    from astralytiq.features.accounts.deps import authenticate

    return authenticate
