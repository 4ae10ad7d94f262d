"""The figures of the platform, as the metrics door tells them."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import offers
from astralytiq.core.offers import FIGURES

from . import sampling
from .models import Dashboard
from .sampling import Sampler
from .schemas import MetricRead, MetricsRead

TERABYTE = 10**12


async def catalogue(session: AsyncSession) -> list[MetricRead]:
    """All that widgets and alert rules can name, with their values of now."""
    values = await offers.measure_all(session)
    return [
        MetricRead(name=name, about=figure.about, unit=figure.unit, value=values[name])
        for name, figure in sorted(FIGURES.items())
    ]


async def measured(session: AsyncSession, sampler: Sampler) -> MetricsRead:
    values = await offers.measure_all(session)
    return MetricsRead(
        total_datasets=int(values["datasets"] or 0),
        active_models=int(values["models_in_production"] or 0),
        total_dashboards=await total(session),
        data_processed_tb=(values["dataset_bytes"] or 0) / TERABYTE,
        api_calls_today=await sampling.requests_today(session) + sampler.unstored,
        uptime_percentage=await sampling.uptime_percentage(session),
        active_users=int(values["users_active"] or 0),
        model_accuracy_avg=values["model_accuracy"],
        data_quality_score=values["data_quality_score"],
        figures=values,
    )


async def total(session: AsyncSession) -> int:
    return await session.scalar(select(func.count(Dashboard.id))) or 0
